"""The largest batch that fits: found by tracing, kept by every batch of the real rows, refused in plain words."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aista.engine.batch_plan import length_batches
from aista.engine.cost.dry_run import dry_run
from aista.engine.cost.fit import GIB, MARGIN
from aista.engine.cost.fit_search import NEARLY, Tried, search
from aista.engine.cost.memory_estimate import MemoryEstimate, estimate_memory, weigh
from aista.engine.cost.rows import Assumption, RowLengths
from aista.engine.cost.trace import BatchSizes, Tracer
from aista.errors import AistaError

from .configs import prepare, tiny

ASSUMED = Assumption(80, 1.5, 4.0, 5.0, 0.5)
OPTIONS = [
    "data.batch_size=8",
    "data.max_batch_positions=900",
    pytest.param("data.max_batch_seconds=20", marks=pytest.mark.slow),
]
NOTHING = BatchSizes((), (), ())


def at(value, total, fixed=0):
    return Tried(value, 1, 1.0, MemoryEstimate(1, False, fixed, 0, 0, 0, total - fixed), NOTHING)


@given(
    fixed=st.integers(0, 10**6),
    slope=st.floats(0, 1000),
    bend=st.sampled_from([0.5, 1, 1.3, 2]),
    step=st.sampled_from([1, 7]),
    least=st.integers(1, 60),
    span=st.integers(0, 100_000),
    start=st.integers(1, 100_000),
    budget=st.integers(1, 10**8),
)
def test_what_is_found_takes_nearly_the_budget_or_the_next_value_exceeds_it(
    fixed, slope, bend, step, least, span, start, budget
):
    def attempt(value):
        return at(value, fixed + int(slope * (value // step * step) ** bend), fixed)

    tried = search(attempt, start, least, least + span, budget)
    fitting = [one for one in tried if one.memory.total <= budget]
    if not fitting:
        assert tried[0].value == least
        return
    best = max(fitting)
    nearly = best.memory.total >= NEARLY * budget
    assert nearly or best.value == least + span or attempt(best.value + 1).memory.total > budget


def test_a_line_takes_few_traces():
    for seed in range(50):
        draw = random.Random(seed)
        fixed, slope = draw.randint(10**5, 10**6), draw.randint(10, 1000)
        budget = fixed + slope * draw.randint(100, 50_000)
        tried = search(lambda v: at(v, fixed + slope * v, fixed), draw.randint(50, 50_000), 1, 10**6, budget)  # noqa: B023
        assert len(tried) <= 6


def traced(experiment, rows):
    """The most that any batch of two epochs takes, by a trace of each."""
    task, model, split = prepare(experiment)
    positions = rows.positions(task, model)
    plan = length_batches(rows.seconds, experiment, with_audio=True, world_size=1, positions=positions)
    weights, tracer = weigh(model), Tracer(task, model, bfloat16=False)
    batches = sorted(
        {batch for epoch in range(2) for batch in plan.plan(epoch)},
        key=lambda batch: -len(batch) * max(rows.seconds[row] for row in batch),
    )
    chosen = [*batches[:2], batches[len(batches) // 2], max(batches, key=len)]
    traces = [tracer.trace(rows.batch(batch, split.dataset.feature)) for batch in chosen]
    return max(estimate_memory(weights, trace).total for trace in traces)


@pytest.mark.parametrize("option", OPTIONS)
def test_batches_of_the_proposed_size_take_no_more_and_the_budget_is_used(tmp_path, corpus, llama, option):
    name = option.partition("=")[0]
    others = ["trainer.mixed_precision=off", "data.max_seconds=4", "data.batch_size=80", "alignment=[]"]
    experiment = tiny(tmp_path, corpus, llama, *others, option)
    fit = dry_run(experiment, assumption=ASSUMED, fit=0.01).fit
    assert f"data.{fit.option}" == name
    assert fit.budget == int(0.01 * GIB * (1 - MARGIN))
    assert fit.best.memory.total <= fit.budget
    is_used = fit.best.memory.total >= NEARLY * fit.budget
    assert is_used or fit.best.value + 1 in [one.value for one in fit.tried]
    proposed = tiny(tmp_path, corpus, llama, *others, f"{name}={fit.best.value}")
    rows = RowLengths.assumed(ASSUMED, 4.0)
    # Batches of mixed lengths may be somewhat heavier than those of sorted ones, which are traced.
    assert 0.6 * fit.budget < traced(proposed, rows) <= fit.budget * 1.05


def test_real_rows_several_processes_and_a_config_line(tmp_path, corpus, llama):
    experiment = tiny(tmp_path, corpus, llama, "data.max_batch_positions=30", "trainer.data_parallelism=fsdp")
    found = dry_run(experiment, processes=(2,), fit=0.003)
    text, best = str(found), found.fit.best
    assert best.memory.processes == 2
    assert best.memory.sharded
    assert len(best.share.inputs) == -(-best.rows // 2)
    assert f"rows: {corpus}/train.tsv" in text
    assert f"put into the config (now 30):\n  data: {{max_batch_positions: {best.value}}}" in text
    assert "10% are for what no trace shows: fragmentation" in text
    plain = found.to_json()["fit"]
    assert (plain["proposed"], plain["margin"]) == (best.value, MARGIN)


def test_everything_in_one_batch(tmp_path, corpus, llama):
    found = dry_run(tiny(tmp_path, corpus, llama), fit=50)
    assert found.fit.best.value == found.fit.ceiling == 24
    assert "from 24 on batches grow no more: all rows are in one batch" in str(found)
    assert "does not fit" not in str(found)


def test_nothing_fits_and_what_would_help(tmp_path, corpus, llama):
    found = dry_run(tiny(tmp_path, corpus, llama), fit=0.0005)
    assert found.fit.best is None
    text = str(found)
    assert "data.batch_size 1, the least that these rows allow, does not fit. What would help:" in text
    assert "trainer.activation_checkpointing: true takes" in text
    assert "shorter rows: a smaller data.max_seconds; the longest is" in text
    assert "put into the config" not in text
    assert found.to_json()["fit"]["proposed"] is None


def test_one_number_of_processes(tmp_path, corpus, llama):
    with pytest.raises(AistaError, match="--fit: plans for one number of processes, got 1 8; name one"):
        dry_run(tiny(tmp_path, corpus, llama), processes=(1, 8), fit=1)


def test_what_cannot_be_traced_or_planned_is_said(tmp_path, corpus, llama):
    assert "no cost is estimated: the step" in str(dry_run(tiny(tmp_path, corpus, llama, "adapter={name: cif}"), fit=1))
    short = ["data.max_seconds=1", "data.max_batch_seconds=1", "data.max_batch_positions=99"]
    text = str(dry_run(tiny(tmp_path, corpus, llama, *short), processes=(8,), fit=1))
    assert "for 8 processes: a batch must hold 8 rows of any size" in text


def test_stages_are_fitted_by_rows(tmp_path, corpus, llama):
    stage = "pretraining=[{name: lm, task: text_translation, part: llm}]"
    experiment = tiny(tmp_path, corpus, llama, stage, "data.max_batch_seconds=30")
    (only,) = experiment.sections.pretraining
    fit = dry_run(experiment.stage(only), fit=50).fit
    assert (fit.option, fit.unit) == ("batch_size", "tokens")
