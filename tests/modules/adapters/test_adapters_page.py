"""What docs/adapters.md and docs/choose/adapter.md list is so."""

from pathlib import Path

import pytest
import torch
import yaml

from aista import registry
from aista.modules.adapters.cif import CifConfig
from aista.schema import Component, resolve

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "adapters.md").read_text(encoding="utf-8")
CHOICE = (DOCS / "choose" / "adapter.md").read_text(encoding="utf-8")
PRETRAINED = {"qwen2_audio"}  # needs a folder; described below the table
ENTRIES = {
    entry.name: entry
    for entry in registry.entries("adapter")
    if entry.origin.startswith("aista.") and entry.name not in PRETRAINED
}
TABLES = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (CHOICE + PAGE).splitlines()
    if line.startswith("| `")
]
ADAPTERS = {row[0].strip("`"): row[1:] for row in TABLES if not row[0].startswith("`adapter_")}
METRICS = {row[0].strip("`"): row[1:] for row in TABLES if row[0].startswith("`adapter_")}


def test_the_config_is_one():
    node = yaml.safe_load(PAGE.split("```yaml\n")[1].split("```")[0])["adapter"]
    assert resolve("adapter", node) == Component("cif", CifConfig(quantity_weight=1.0))


def test_every_adapter_is_listed():
    assert ADAPTERS.keys() == ENTRIES.keys()


@pytest.mark.parametrize("name", ADAPTERS)
def test_lengths_and_parameters(name):
    positions, of_500, parameters, *_ = ADAPTERS[name]
    with torch.device("meta"):
        adapter = registry.build("adapter", Component(name), input_dim=1280, output_dim=2048, vocab_size=32_000)
    assert adapter.output_lengths(torch.tensor([500])).tolist() == [int(of_500)]
    assert adapter.exact_lengths != positions.startswith("at most")
    assert f"{sum(p.numel() for p in adapter.parameters()) / 1e6:.1f}" == parameters
    formulas = {"n": 501, "at most n": 501, "ceil(n / k)": 126, "Q": 64, "Q ceil(n / w)": 30}
    assert adapter.output_lengths(torch.tensor([501])).tolist() == [formulas[positions]]


def test_the_metrics_are_those_that_are_logged():
    documented = set()
    for metric, (adapters, option, _) in METRICS.items():
        for name in adapters.replace("`", "").split(", "):
            documented.add((name, metric.removeprefix("adapter_"), option.strip("`")))
    found = set()
    for name in ENTRIES:
        heads = {"num_heads": 2} if name in ("transformer", "conformer", "qformer", "window_qformer") else {}
        spec = resolve("adapter", {"name": name, "config": heads})
        adapter = registry.build("adapter", spec, input_dim=8, output_dim=4, vocab_size=3)
        states, lengths = torch.randn(1, 9, 8), torch.tensor([9])
        for term in adapter.adapt(states, lengths, torch.tensor([[1, 2]]), torch.tensor([2])).terms:
            options = [key for key in vars(spec.config) if key.endswith("_weight") and term.weight]
            found.add((name, term.name, *(options or [""])))
    assert found == documented
