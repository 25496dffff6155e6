"""The batches that ``aista train --dry-run --fit`` proposes, against the peak of a process that trains on them.

    OMP_NUM_THREADS=1 pytest benchmarks/test_fit.py -s

The proposal is made as for this CPU; its heaviest batch is then trained on for three steps, and the resident memory
measured, as ``test_memory_estimate.py`` does.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from aista.engine.cost.fit import GIB, MARGIN, fit_batch
from aista.engine.cost.rows import RowLengths, parse_assumption
from aista.tasks.experiment import load_experiment
from benchmarks.test_memory_estimate import MIB, make, make_llms, measure

ROWS = "rows=2000,seconds=6,source=14,target=17,spread=0.5"
CASES = [
    ("all trained", "batch_size: 8", 0.5),
    ("all trained", "max_batch_seconds: 60", 1.0),
    ("activation checkpointing", "max_batch_positions: 2000", 0.25),
]


@pytest.mark.parametrize(("name", "option", "gib"), CASES)
def test_fit(name: str, option: str, gib: float, tmp_path: Path) -> None:
    """Prints what is proposed, predicted and measured; no threshold, see docs/cost.md."""
    make_llms(tmp_path)
    data = {"train": "none.tsv", "max_seconds": 20, "batch_size": 1000, **yaml.safe_load(option)}
    checkpointing = name == "activation checkpointing"
    trainer = {"activation_checkpointing": checkpointing, "mixed_precision": "off"}
    config = {"tokenizer": {"name": "sentencepiece", "config": {"path": "none"}}, "data": data, "trainer": trainer}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    experiment = load_experiment(tmp_path / "config.yaml")
    task, model, _, _ = make("all trained" if checkpointing else name, tmp_path)
    rows = RowLengths.assumed(parse_assumption(ROWS), experiment.sections.data.max_seconds)
    fit = fit_batch(experiment, task, model, rows, gib=gib, on_gpu=False)
    assert fit.best is not None
    predicted, measured = fit.best.memory.total / MIB, measure(name, tmp_path, fit.best.share)
    print(
        f"\n{name}, {gib} GiB less {MARGIN:.0%} are {fit.budget / MIB:.0f} MiB: {fit.option} {fit.best.value}, "
        f"{fit.best.rows} rows of up to {fit.best.longest:.1f} s, {len(fit.tried)} values tried; predicted "
        f"{predicted:.0f} MiB, measured {measured:.0f} MiB ({measured / predicted - 1:+.1%}), "
        f"{measured * MIB / (gib * GIB):.0%} of all"
    )
