"""What FSDP2 leaves on each process, measured on two of them."""

import json

import pytest

from aista.engine.cost.memory_estimate import estimate_memory, weigh
from aista.engine.cost.trace import Trace
from tests.processes import in_ranks

from .configs import prepare, tiny
from .sharded import measure

WIDE = ["encoder.config.model_dim=64", "encoder.config.ffn_dim=128"]


@pytest.mark.slow
@pytest.mark.parametrize("tuning", ["full", "{name: lora, config: {r: 4}}"], ids=["full", "lora"])
def test_weights_gradients_and_optimizer_state_of_two_processes(tmp_path, corpus, llama, tuning):
    overrides = [*WIDE, f"llm.tuning={tuning}"]
    in_ranks(2, measure, tmp_path, corpus, llama, *overrides)
    found = json.loads((tmp_path / "found.json").read_text())
    _, model, _ = prepare(tiny(tmp_path, corpus, llama, *overrides, kind="hugging face"))
    estimate = estimate_memory(weigh(model), Trace(), processes=2, sharded=True)
    for name, held in found.items():
        # Rows are not split: the first process may hold one row more of each parameter.
        assert getattr(estimate, name) == pytest.approx(held, rel=0.02), name
