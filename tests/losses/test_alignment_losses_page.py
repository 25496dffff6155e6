"""What docs/alignment_losses.md and docs/choose/loss.md list and show is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from aista import registry
from aista.losses.base import NEEDS, AlignmentContext, AlignmentLoss
from aista.registry import load_plugins
from aista.schema import resolve
from aista.tasks.speech_translation import WeightedAlignment
from aista.testing.contracts import run

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "alignment_losses.md").read_text(encoding="utf-8")
CHOICE = (DOCS / "choose" / "loss.md").read_text(encoding="utf-8")
LOSSES = [entry.name for entry in registry.entries("alignment_loss") if entry.origin.startswith("aista.")]


def test_the_table_lists_every_loss_of_aista():
    rows = re.findall(r"^\| `(\w+)` \|", CHOICE, flags=re.MULTILINE)
    assert sorted(rows) == sorted(LOSSES)
    for name in set(rows) - {"ot"}:
        assert f"**{name}**" in PAGE, name


def test_the_table_of_guides_lists_every_guide_and_its_needs():
    table = PAGE.split("## Guides")[1].split("## The mathematics")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \|[^|]*\|([^|]*)\|", table, flags=re.MULTILINE))
    assert sorted(rows) == registry.names("guide")
    for name, needs in rows.items():
        guide = registry.build("guide", resolve("guide", name))
        assert [need for need in ("transcripts", "words") if need.rstrip("s") in needs] == list(guide.needs)


def test_the_table_tells_what_they_need():
    for line in CHOICE.splitlines():
        found = re.match(r"\| `(\w+)` \|([^|]*)\|([^|]*)\|", line)
        if found and found[1] in LOSSES:
            loss = registry.build("alignment_loss", resolve("alignment_loss", found[1]))
            assert ("transcripts" in found[3]) == ("transcripts" in loss.needs), found[1]


def test_what_can_be_needed_is_in_the_context():
    assert {name.removeprefix("batch_") for name in NEEDS} < set(AlignmentContext._fields)


def test_the_config_builds_the_losses():
    for node in yaml.safe_load(PAGE.split("```yaml\n")[1].split("```")[0])["alignment"]:
        loss = registry.build("alignment_loss", resolve("alignment_loss", node, type=WeightedAlignment))
        assert isinstance(loss, AlignmentLoss)


def test_the_example_keeps_the_contracts(tmp_path, clean_registry):
    plugin = tmp_path / "huber.py"
    plugin.write_text(PAGE.split("```python\n")[1].split("```")[0], encoding="utf-8")
    load_plugins([plugin])
    outcomes = run("alignment_loss", "huber", {"delta": 0.5})
    assert outcomes
    assert not [outcome for outcome in outcomes if outcome.status == "FAIL"]


@pytest.mark.parametrize("name", LOSSES)
def test_it_keeps_the_contracts(name):
    assert not [outcome for outcome in run("alignment_loss", name) if outcome.status == "FAIL"]


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("cosine", {"level": "token"}),
        ("cosine", {"level": "max"}),
        ("mse", {"level": "token"}),
        ("infonce", {"level": "token"}),
        ("infonce", {"level": "max", "gather": False}),
        ("word_aligned", {"temperature": 0.05, "gather": False}),
        ("ot", {"guide": "times", "guide_weight": 3.0}),
        ("ot", {"guide": {"name": "monotone", "config": {"blank": None}}, "solver": "exact"}),
        ("token_contrast", {"guide": "monotone", "span": 2}),
        ("token_contrast", {"guide": "times", "temperature": 0.05, "gather": False}),
        ("mismatched", {"loss": {"name": "infonce", "config": {"level": "token"}}}),
        ("soft_dtw", {"divergence": True, "cost": "sqeuclidean"}),
        ("cmot", {"side": "both", "window": None, "mass": "uniform"}),
        ("wasserstein_contrastive", {"solver": "relaxed"}),
        ("wasserstein_contrastive", {"solver": "sinkhorn_divergence"}),
        ("kl", {"temperature": 3.0}),
        ("ctc", {"temperature": 1.0}),
        ("ctc", {"classes": "batch"}),
    ],
)
def test_other_options_keep_the_contracts(name, config):
    assert not [outcome for outcome in run("alignment_loss", name, config) if outcome.status == "FAIL"]
