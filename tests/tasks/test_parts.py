import pytest
import torch
from torch import nn

from aista import registry
from aista.errors import ConfigError, PluginError
from aista.schema import resolve
from aista.tasks import parts

MLP = resolve(
    "adapter", {"name": "mlp", "config": {"hidden_dim": 100, "output_norm": False}}
)  # 10 x 100 + 100 + 100 x 20 + 20 numbers
BYTES = 4 * (10 * 100 + 100 + 100 * 20 + 20)


def build(spec=MLP):
    return parts.build_part("adapter", spec, None, input_dim=10, output_dim=20)


def test_a_part_may_fill_the_memory_but_not_exceed_it(monkeypatch):
    monkeypatch.setattr(parts, "memory_bytes", lambda: BYTES)
    assert sum(parameter.nbytes for parameter in build().parameters()) == BYTES
    monkeypatch.setattr(parts, "memory_bytes", lambda: BYTES - 1)
    with pytest.raises(ConfigError, match=r"adapter\.config: its weights take more than the .* choose smaller sizes"):
        build()
    assert nn.Linear(1000, 1000).weight.nbytes > BYTES  # what is built outside is not counted


def test_one_tensor_that_cannot_be_had_is_the_same_fault():
    """16 PB, more than any address space, so that the allocator refuses at once."""
    spec = resolve("adapter", "linear")
    with pytest.raises(ConfigError, match=r"adapter\.config: its weights take more than"):
        parts.build_part("adapter", spec, None, input_dim=2**26, output_dim=2**26)


def test_what_is_on_no_device_takes_no_memory(monkeypatch):
    monkeypatch.setattr(parts, "memory_bytes", lambda: 0)
    with torch.device("meta"):
        assert {parameter.device.type for parameter in build().parameters()} == {"meta"}


def test_other_errors_name_the_component_that_raised_them(clean_registry):
    @registry.register("adapter", "broken")
    def broken():
        raise RuntimeError("a bug")

    with pytest.raises(PluginError, match=r"test_parts.py:\d+: broken cannot be built: RuntimeError: a bug"):
        build(resolve("adapter", "broken"))
