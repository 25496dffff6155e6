import pytest
import torch

from aista.engine.batch_plan import length_batches
from aista.engine.cost.rows import (
    Assumption,
    Batches,
    Padded,
    RowLengths,
    parse_assumption,
    plan_batches,
    summarize,
)
from aista.engine.cost.trace import BatchSizes, Tracer
from aista.errors import AistaError

from .configs import prepare, tiny


def test_assumed_rows_have_the_stated_means_and_spread():
    rows = RowLengths.assumed(Assumption(20_000, 5.4, 12.0, 15.0, spread=0.4), longest=1000.0)
    seconds = torch.tensor(rows.seconds, dtype=torch.float64)
    assert len(rows.seconds) == len(rows.source) == len(rows.target) == 20_000
    assert float(seconds.mean()) == pytest.approx(5.4, rel=1e-3)
    assert float(seconds.std()) == pytest.approx(0.4 * 5.4, rel=5e-3)
    assert sum(rows.source) / 20_000 == pytest.approx(12, rel=1e-2)
    assert sum(rows.target) / 20_000 == pytest.approx(15, rel=1e-2)
    assert rows == RowLengths.assumed(Assumption(20_000, 5.4, 12.0, 15.0, spread=0.4), longest=1000.0)


def test_no_assumed_row_is_longer_than_the_config_allows():
    rows = RowLengths.assumed(Assumption(1000, 5.0, 10.0, 10.0, spread=1.0), longest=8.0)
    assert max(rows.seconds) == pytest.approx(8.0)
    assert max(rows.source) == 16


def test_rows_without_speech():
    rows = RowLengths.assumed(Assumption(10, 0.0, 10.0, 10.0), longest=8.0)
    assert set(rows.seconds) == {0.0}
    assert len(set(rows.source)) > 1


def test_an_assumption_as_text():
    assert parse_assumption("rows=10, seconds=5.5,source=3,target=4") == Assumption(10, 5.5, 3.0, 4.0)
    assert parse_assumption("rows=10,seconds=5,source=3,target=4,spread=0").spread == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rows=10,second=5", r"unknown name 'second' \(did you mean 'seconds'\?\); give rows, seconds"),
        ("rows=ten", "rows must be a number of at least 1, got 'ten'"),
        ("rows=0", "rows must be a number of at least 1, got '0'"),
        ("rows=5,seconds=-1", "seconds must be a number of at least 0, got '-1'"),
        ("rows=5,seconds=inf", "seconds must be a number of at least 0, got 'inf'"),
        ("rows=5,seconds=1,source=3", "target is missing; for example rows="),
    ],
)
def test_impossible_assumptions(text, message):
    with pytest.raises(AistaError, match=message):
        parse_assumption(text)


def test_lengths_of_a_manifest_are_those_of_its_batches(tmp_path, corpus, llama):
    task, model, split = prepare(tiny(tmp_path, corpus, llama))
    rows = RowLengths.of_split(split, task)
    assert rows.origin == str(corpus / "train.tsv")
    batch = split.dataset.batch(range(len(split.dataset)), 0)
    assert rows.source == tuple(batch.source_lengths.tolist())
    assert rows.target == tuple(batch.target_lengths.tolist())
    summary = summarize(rows, model, task)
    speech, lengths = model.encode_speech(batch.audio, batch.audio_lengths)
    assert summary["encoder frames"].maximum == batch.audio_lengths.max()
    assert summary["speech positions"].maximum == speech.size(1)
    assert summary["speech positions"].mean == pytest.approx(float(lengths.float().mean()))
    totals = lengths + batch.target_lengths + model.prompt.num_positions
    assert summary["LLM positions"].maximum == totals.max()


def test_the_batch_of_mean_size_and_the_largest(tmp_path, corpus, llama):
    experiment = tiny(tmp_path, corpus, llama, "data.batch_size=3", "data.length_noise=0")
    feature = prepare(experiment)[2].dataset.feature
    rows = RowLengths("", tuple(float(index) for index in range(1, 10)), tuple(range(9)), (1,) * 9)
    batches = plan_batches(rows, experiment, feature, 1, None)
    assert sorted(batches.padded) == [(3, 3.0), (3, 6.0), (3, 9.0)]
    assert batches.mean.source == (3, 4, 5)
    assert batches.largest.source == (6, 7, 8)
    assert batches.largest.inputs == tuple(feature.num_frames(seconds * 16_000) for seconds in (7, 8, 9))


def test_what_grows_with_squares_is_summed_exactly():
    padded = (Padded(4, 2.0), Padded(4, 3.0), Padded(4, 3.5), Padded(2, 9.0))
    nothing = BatchSizes((), (), ())
    batches = Batches(padded, nothing, nothing)

    def cost(batch):
        return 5.0 * batch.rows * batch.longest + 0.25 * batch.rows * batch.longest**2

    mean, largest = cost(padded[batches.mean_index]), cost(padded[batches.largest_index])
    assert batches.over_epoch(mean, largest) == pytest.approx(sum(map(cost, padded)))
    same = Batches((Padded(4, 2.0), Padded(2, 2.0)), nothing, nothing)
    assert same.over_epoch(10.0, 10.0) == pytest.approx(10.0 + 5.0)


def test_the_epochs_operations_are_those_of_all_its_batches(tmp_path, corpus, llama):
    """Two batches of the epoch against every one of them, traced."""
    experiment = tiny(tmp_path, corpus, llama, "alignment=[]", "data.batch_size=16")
    task, model, split = prepare(experiment)
    rows, feature = RowLengths.assumed(Assumption(96, 3.0, 8.0, 10.0), 30.0), split.dataset.feature
    tracer = Tracer(task, model, bfloat16=False)
    batches = plan_batches(rows, experiment, feature, 1, None)
    mean, largest = (tracer.trace(sizes).total.total for sizes in (batches.mean, batches.largest))
    exact = 0
    for batch in length_batches(rows.seconds, experiment, with_audio=True, world_size=1).plan(0):
        columns = (tuple(column[row] for row in batch) for column in (rows.seconds, rows.source, rows.target))
        exact += tracer.trace(plan_batches(RowLengths("", *columns), experiment, feature, 1, None).mean).total.total
    assert batches.over_epoch(mean, largest) == pytest.approx(exact, rel=0.02)
