"""A killed run goes on and ends with the losses of the uninterrupted one."""

import json
import re

import pytest

from tests.engine.training.processes import in_processes
from tests.tiny import tiny_config, write_config

LOSSES = re.compile(r"nll|grad_norm|align|ot_|rows/")
pytestmark = pytest.mark.slow


def losses(run):
    lines = (run / "metrics" / "train.jsonl").read_text().splitlines()
    records = {record["step"]: record for record in map(json.loads, lines)}  # the later line counts
    kept = {step: {key: record[key] for key in record if LOSSES.match(key)} for step, record in records.items()}
    return dict(sorted(kept.items()))


def scores(run):
    lines = (run / "metrics" / "valid.jsonl").read_text().splitlines()
    return {record["step"]: record["score"] for record in map(json.loads, lines)}


def train_whole_and_killed(config, folder, *overrides, stop_before):
    """Train in ``folder / "whole"``, and killed and resumed in ``folder / "killed"``; the losses, equal in both."""
    in_processes(1, config, folder / "whole")
    in_processes(1, config, folder / "killed", *overrides, stop_before=stop_before)
    assert not (folder / "killed" / "timing.json").exists()
    in_processes(1, config, folder / "killed", *overrides)
    whole = losses(folder / "whole")
    assert losses(folder / "killed") == whole
    return whole


RETRIEVAL = {"name": "retrieval", "config": {"warmup_steps": 25, "probe_size": 8, "top_k": 2}}
ONE = {"name": "cka", "config": {"warmup_steps": 25, "probe_size": 8, "top_k": 1}}
SCHEDULED = {"name": "scheduled", "config": {"strategy": ONE, "every": 10, "hysteresis": 0.0}}


@pytest.mark.parametrize("selection", [RETRIEVAL, SCHEDULED], ids=["retrieval", "scheduled"])
def test_kill_in_mid_training_changes_nothing(tmp_path, corpus, selection):
    changes = tiny_config(
        corpus,
        trainer={"max_steps": 120, "learning_rate": 3e-3, "log_every": 10, "checkpoint_every": 20, "warmup_steps": 5},
        layer_selection=selection,
    )
    if selection is SCHEDULED:
        changes["trainer"]["validate_every"] = 20
        plateau = {
            "name": "until_plateau",
            "config": {"patience": 2, "min_delta": 9.0, "decay_steps": 30, "final": 0.1},
        }
        changes["alignment"] = [{"name": "ot", "weight": 0.5, "schedule": plateau}]
    changes["data"]["augmentation"] = {"name": "spec_augment"}
    config = write_config(tmp_path / "config.yaml", changes)
    whole = train_whole_and_killed(config, tmp_path, stop_before=47)
    assert list(whole) == list(range(10, 121, 10))
    selections = [json.loads((tmp_path / run / "selection.json").read_text()) for run in ("whole", "killed")]
    assert selections[0] == selections[1]
    if selection is SCHEDULED:
        assert [choice["step"] for choice in selections[0]["choices"]] == list(range(25, 120, 10))
        # The best score of three validations is the first: the plateau is seen at step 60, behind the kill.
        assert [whole[step]["ot_weight"] for step in (50, 60, 70)] == pytest.approx([0.5, 0.5, 0.4175])
        assert scores(tmp_path / "killed") == scores(tmp_path / "whole")
        assert len({tuple(choice["layers"]) for choice in selections[0]["choices"]}) > 1, "the layers never changed"


def test_a_finished_run_trained_further_is_one_of_more_steps(tmp_path, corpus):
    trainer = {"learning_rate": 3e-3, "schedule": "constant", "log_every": 5, "validate_every": 10}
    few, more = (
        write_config(tmp_path / f"{steps}.yaml", tiny_config(corpus, trainer={**trainer, "max_steps": steps}))
        for steps in (20, 40)
    )
    in_processes(1, more, tmp_path / "whole")
    in_processes(1, few, tmp_path / "further")
    assert json.loads((tmp_path / "further" / "timing.json").read_text())["steps"] == 20
    in_processes(1, more, tmp_path / "further")
    assert losses(tmp_path / "further") == losses(tmp_path / "whole")
    assert scores(tmp_path / "further") == scores(tmp_path / "whole")
    assert json.loads((tmp_path / "further" / "timing.json").read_text())["steps"] == 40


def test_kill_in_mid_epoch_of_a_mixture_changes_nothing(tmp_path, corpus):
    changes = tiny_config(
        corpus, trainer={"max_steps": 24, "learning_rate": 3e-3, "log_every": 2, "checkpoint_every": 6}
    )
    changes["data"] |= {
        "speech": [str(corpus / "test.tsv")],
        "mix": {"temperature": 1e9},
        "augmentation": {"name": "spec_augment"},
    }
    config = write_config(tmp_path / "config.yaml", changes)
    whole = train_whole_and_killed(config, tmp_path, stop_before=9)
    read = [json.loads((tmp_path / run / "timing.json").read_text())["rows_read"] for run in ("whole", "killed")]
    large, small = (str(corpus / f"{name}.tsv") for name in ("train", "test"))
    assert read[0] == read[1] == {large: 96, small: 96}, "half of six epochs of 32 rows each"
    assert {name: sum(record[f"rows/{name}"] for record in whole.values()) for name in read[0]} == read[0]
