"""Each tracker through its own client, offline: what is sent can be read back, and a run can be opened again."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
import wandb

from aista.errors import AistaError
from aista.tracking.base import RunDescription
from aista.tracking.mlflow import MLflow
from aista.tracking.tensorboard import TensorBoard
from aista.tracking.wandb import Wandb

CONFIG = {"trainer": {"max_steps": 4}, "alignment": [{"name": "ot"}], "data": {"text": []}}
KEY = "0123456789" * 4


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """No client asks a network, nor finds the keys of who runs the tests."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB__DISABLE_STATS", "true")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def send_thrice(tracker, *folders: Path) -> str:
    """Steps 1 and 2, then from step 1 on again: 2 and 3, with more steps asked for; then scores. Returns the id."""
    for folder in set(folders):
        folder.mkdir()
    run = tracker.open(RunDescription(name="mine", folder=folders[0], config=CONFIG))
    for step in (1, 2):
        run.log({"train/nll": 4.0 / step, "rows/a+b": 8.0}, step)
    run.log({"train/nll": math.nan}, 3)
    run.close("failed")
    longer = CONFIG | {"trainer": {"max_steps": 8}}
    again = tracker.open(RunDescription(name="mine", folder=folders[1], id=run.id, config=longer, last_step=1))
    assert again.id == run.id
    for step in (2, 3):
        again.log({"train/nll": 4.0 / step}, step)
    again.note("layers", "after step 1: 0", 1)
    again.close("finished")
    scored = tracker.open(RunDescription(name="mine", folder=folders[2], id=run.id))
    scored.log({"test+beam_size=1/bleu": 12.5}, 2)
    scored.close(None)
    return run.id


def test_tensorboard_hides_what_is_repeated(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    send_thrice(TensorBoard(), *[tmp_path / "tracking"] * 3)
    events = EventAccumulator(str(tmp_path / "tracking" / "tensorboard")).Reload()
    assert [(event.step, event.value) for event in events.Scalars("train/nll")] == [
        (1, 4.0),
        (2, 2.0),
        (3, pytest.approx(4 / 3)),
    ]
    assert [(event.step, event.value) for event in events.Scalars("test+beam_size=1/bleu")] == [(2, 12.5)]
    (layers,) = events.Tensors("layers/text_summary")
    assert layers.tensor_proto.string_val == [b"after step 1: 0"]
    assert b"max_steps: 8" in events.Tensors("config/text_summary")[-1].tensor_proto.string_val[0]


def test_mlflow_takes_every_name_and_a_changed_option(tmp_path, offline):
    pytest.importorskip("mlflow", reason="pip install 'aista[mlflow]' brings it")
    tracker = MLflow(uri=str(tmp_path / "mlruns"), tags={"team": "st"})
    tracker.check()
    run_id = send_thrice(tracker, *[tmp_path / "tracking"] * 3)
    client = tracker.client()
    run = client.get_run(run_id)
    assert (run.info.run_name, run.info.status) == ("mine", "FINISHED")
    assert run.data.params == {"trainer.max_steps": "4", "alignment.0.name": "ot", "data.text": "[]"}
    expected = {"team": "st", "layers": "after step 1: 0", "changed.trainer.max_steps": "8"}
    assert expected.items() <= run.data.tags.items()
    assert not {"mlflow.user", "mlflow.source.name", "mlflow.source.git.commit"} & run.data.tags.keys()
    history = [(metric.step, metric.value) for metric in client.get_metric_history(run_id, "train/nll")]
    assert str(history) == str([(1, 4.0), (2, 2.0), (3, math.nan), (2, 2.0), (3, 4 / 3)])
    assert {"rows/a.2Bb": 8.0, "test.2Bbeam_size.3D1/bleu": 12.5}.items() <= run.data.metrics.items()
    assert not list((tmp_path / "tracking").iterdir())


@pytest.mark.slow
def test_wandb_keeps_repeated_steps_and_its_key_to_itself(tmp_path, offline, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    tracker = Wandb(project="zh", tags=("ot",))
    tracker.check()
    parts = [tmp_path / name for name in ("1", "2", "3")]  # in one folder, runs of one second overwrite each other
    run_id = send_thrice(tracker, *parts)
    wandb.teardown()  # waits for W&B's own process: finish() returns before its file is whole
    files = [file for part in parts for file in part.glob("wandb/offline-run-*/*.wandb")]
    assert [file.name for file in files] == [f"run-{run_id}.wandb"] * 3
    first, second, scored = ([*records(file)] for file in files)
    started = next(record.run for record in first if record.WhichOneof("record_type") == "run")
    assert (started.project, started.display_name, list(started.tags)) == ("zh", "mine", ["ot"])
    assert rows(first)[:2] == [
        {"train/nll": 4.0, "rows/a+b": 8.0, "step": 1},
        {"train/nll": 2.0, "rows/a+b": 8.0, "step": 2},
    ]
    assert [(row["step"], row["train/nll"]) for row in rows(second)] == [(2, 2.0), (3, 4 / 3)]
    assert rows(scored) == [{"test+beam_size=1/bleu": 12.5, "step": 2}]
    assert any(b"max_steps" in record.SerializeToString() for record in second)
    assert any(b"after step 1: 0" in record.SerializeToString() for record in second)
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) > 3
    assert not any(KEY.encode() in content for content in written)


def records(file: Path) -> Iterator[object]:
    """The records of a ``.wandb`` file: LevelDB's log format, pieces in blocks of 32 KiB behind a header of 7 bytes."""
    from wandb.proto.wandb_internal_pb2 import Record

    content, place, record = file.read_bytes(), 7, b""
    while place + 7 <= len(content):
        left = 32768 - place % 32768
        if left < 7:
            place += left
            continue
        size, kind = struct.unpack_from("<HB", content, place + 4)
        record += content[place + 7 : place + 7 + size]
        place += 7 + size
        if kind in (1, 4):  # whole, or the last piece
            yield Record.FromString(record)
            record = b""


def rows(found) -> list[dict[str, float]]:
    """Logged rows of the user's values, without those that W&B adds."""
    histories = [record.history for record in found if record.WhichOneof("record_type") == "history"]
    items = [{"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in h.item} for h in histories]
    return [{key: value for key, value in row.items() if not key.startswith("_")} for row in items]


def test_what_cannot_work_is_known_before_training(tmp_path, offline, monkeypatch):
    with pytest.raises(AistaError, match=r"names no tracking server; set config.uri, or MLFLOW_TRACKING_URI"):
        MLflow().check()
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    wandb.teardown()  # it reads the environment once
    with pytest.raises(
        AistaError, match=r"no key for it is known; run `wandb login`, set WANDB_API_KEY, or set WANDB_"
    ):
        Wandb().check()
    monkeypatch.setenv("WANDB_API_KEY", "short")
    wandb.teardown()
    with pytest.raises(AistaError, match="API key must have") as error:
        Wandb().check()
    wandb.teardown()
    assert "short" not in str(error.value)


def test_a_missing_package_is_named_with_its_command(offline, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(AistaError, match=r"needs mlflow, which is not installed; pip install 'aista\[mlflow\]'"):
        MLflow(uri="http://localhost").check()


def test_mlflow_refuses_a_layout_that_it_cannot_write(tmp_path, offline, monkeypatch):
    pytest.importorskip("mlflow", reason="pip install 'aista[mlflow]' brings it")
    with pytest.raises(AistaError, match="a database needs `pip install mlflow`, or a server"):
        MLflow(uri=f"sqlite:///{tmp_path}/runs.db").check()
    monkeypatch.delenv("MLFLOW_ALLOW_FILE_STORE")
    with pytest.raises(AistaError, match="MLFLOW_ALLOW_FILE_STORE=true"):
        MLflow(uri=str(tmp_path / "mlruns")).check()


def test_credentials_stay_out_of_configs_and_links(monkeypatch):
    with pytest.raises(ValueError, match=r"uri must hold no credentials, got one with some for ml.example") as error:
        MLflow(uri="https://me:very-secret-value@ml.example/x")
    assert "very-secret-value" not in str(error.value)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:very-secret-value@ml.example/x")
    assert MLflow(experiment="zh").place == "https://ml.example/x zh"
