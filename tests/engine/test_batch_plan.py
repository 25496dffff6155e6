"""Batches by the positions of the language model: as it holds them, and what a row that exceeds them comes to."""

import pytest

from aista.data.manifest import read_manifest
from aista.data.streams.shar_writer import write_shar
from aista.engine.batch_plan import narrow, training_loader
from aista.engine.inputs import load_training_splits
from aista.engine.stream_data import open_stream
from aista.errors import ConfigError, DataError
from aista.modules.lsm import LargeSpeechTextModel
from aista.modules.text_translation_model import TextTranslationModel
from aista.selection.base import SelectedLayers
from aista.tasks.experiment import load_experiment
from aista.tasks.preflight import preflight
from tests.tiny import tiny_config, write_config

LIMIT = 100


def prepared(tmp_path, corpus, *overrides, maximum=LIMIT, **changes):
    """The experiment, its task and its model."""
    config = write_config(tmp_path / "config.yaml", tiny_config(corpus, **changes))
    experiment = load_experiment(config, [f"data.max_batch_positions={maximum}", "data.batch_size=24", *overrides])
    task = preflight(experiment)
    return experiment, task, task.build_model()


def loaded(experiment, task, model):
    splits = load_training_splits(experiment, task)
    narrow(splits, task, model, experiment)
    return splits["train"]


def widths(task, model, batch):
    """Rows and positions of every pass of the language model in a step."""
    seen = []
    hook = model.llm.register_forward_pre_hook(lambda _, args: seen.append(args[0].shape[:2]))
    task.loss(model.train(), batch)
    hook.remove()
    return seen


@pytest.mark.parametrize("overrides", [[], ["mt_weight=1"], ["alignment=[]"], ["alignment=[{name: kl}]"]])
def test_the_language_model_holds_no_more_positions_than_the_limit(tmp_path, corpus, overrides):
    experiment, task, model = prepared(tmp_path, corpus, *overrides)
    assert isinstance(model, LargeSpeechTextModel)
    task.selected = SelectedLayers((0, 1), (0.5, 0.5), "") if experiment.task_config.alignment else None
    split = loaded(experiment, task, model)
    batches = list(training_loader(split, experiment, 0, 1))
    assert sum(map(len, batches)) == len(split.dataset) == 24
    held = [max(rows * width for rows, width in widths(task, model, batch)) for batch in batches]
    assert max(held) <= LIMIT
    assert sum(held) > 0.8 * LIMIT * (len(held) - 2)  # no batch is much smaller than it may be
    largest = dict(zip([row.id for row in split.dataset.rows], split.positions.tolist(), strict=True))
    assert held == [len(batch) * max(largest[id] for id in batch.ids) for batch in batches]


def test_of_text_tasks_too(tmp_path, corpus):
    changes = {"task": "text_translation"}
    config = tiny_config(corpus) | changes
    for name in ("encoder", "adapter", "layer_selection", "alignment"):
        del config[name]
    experiment = load_experiment(write_config(tmp_path / "c.yaml", config), ["data.max_batch_positions=40"])
    task = preflight(experiment)
    model = task.build_model()
    assert isinstance(model, TextTranslationModel)
    batches = list(training_loader(loaded(experiment, task, model), experiment, 0, 1))
    assert max(rows * width for batch in batches for rows, width in widths(task, model, batch)) <= 40 < 8 * 10


def test_seconds_are_kept_beside_them(tmp_path, corpus):
    both = prepared(tmp_path, corpus, "data.max_seconds=1", "data.max_batch_seconds=1.5", maximum=60)
    batches = list(training_loader(loaded(*both), both[0], 0, 1))
    rate = 100  # frames a second
    assert max(len(batch) * int(batch.audio_lengths.max()) for batch in batches) <= 1.5 * rate
    assert max(rows * width for batch in batches for rows, width in widths(both[1], both[2], batch)) <= 60


@pytest.mark.parametrize("policy", ["full", "trust"])
def test_a_row_above_the_limit_is_an_error_or_dropped_and_counted(tmp_path, corpus, policy):
    many = prepared(tmp_path, corpus, f"data.inspect={policy}")
    positions = loaded(*many).positions
    maximum = int(positions.max()) - 1
    too_long = int((positions > maximum).sum())
    few = prepared(tmp_path, corpus, f"data.inspect={policy}", maximum=maximum)
    message = rf"at most {maximum} LLM positions in a batch, got {maximum + 1}; raise data\.max_batch_positions"
    with pytest.raises(DataError, match=message):
        loaded(*few)
    split = loaded(*prepared(tmp_path, corpus, f"data.inspect={policy}", "data.on_bad_rows=drop", maximum=maximum))
    assert split.inspections[0].counts["bad"] == too_long > 0
    assert len(split.dataset) == len(split.positions) == 24 - too_long
    assert split.positions.max() <= maximum


def test_each_process_needs_a_row(tmp_path, corpus):
    experiment, task, model = prepared(tmp_path, corpus, maximum=40)
    with pytest.raises(DataError, match=r"exceeds data\.max_batch_positions 40; raise data\.max_batch_positions"):
        training_loader(loaded(experiment, task, model), experiment, 0, 8)


def test_streams_keep_it_and_drop_rows_by_it(tmp_path, corpus):
    write_shar(read_manifest(corpus / "train.tsv"), tmp_path / "shar", shard_rows=8)
    config = tiny_config(corpus)
    del config["data"]["train"]
    config["data"] |= {"stream": {"name": "shar", "config": {"path": str(tmp_path / "shar")}}, "batch_size": 24}
    path = write_config(tmp_path / "config.yaml", config)

    def stream(*overrides):
        experiment = load_experiment(path, list(overrides))
        task = preflight(experiment)
        model = task.build_model()
        return open_stream(experiment, task).within(model), task, model

    opened, task, model = stream(f"data.max_batch_positions={LIMIT}")
    batches = list(opened.loader(0, 1))
    held = [rows * width for batch in batches for rows, width in widths(task, model, batch)]
    assert sum(map(len, batches)) == 24
    assert 0.8 * LIMIT < max(held) <= LIMIT
    longest = max(opened.positions.measure([row], [row.seconds])[0] for row in read_manifest(corpus / "train.tsv").rows)
    few = f"data.max_batch_positions={longest - 1}"
    with pytest.raises(DataError, match=rf"at most {longest - 1} LLM positions in a batch, got {longest}"):
        stream(few)[0].first_window()
    window = stream(few, "data.on_bad_rows=drop")[0].first_window()
    assert len(window.rows) + len(window.bad) == 24
    assert {bad[2].split(":")[0] for bad in window.bad} == {"too many LLM positions in a batch"}


def test_a_task_without_a_language_model_refuses_it(tmp_path, corpus):
    stage = {"name": "ctc", "task": "ctc_asr", "part": "encoder"}
    prepared(tmp_path, corpus, pretraining=[stage])  # stages do not inherit it
    with pytest.raises(
        ConfigError, match=r"data\.max_batch_positions: counts positions .* the task 'ctc_asr' has none"
    ):
        prepared(tmp_path, corpus, pretraining=[{**stage, "config": {"data": {"max_batch_positions": 50}}}])
