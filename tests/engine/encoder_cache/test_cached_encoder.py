"""A frozen encoder runs once per recording, and nothing else changes."""

import math
import re
import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file
from torch.nn.utils.rnn import pad_sequence

from aista.data.features.log_mel import LogMel
from aista.data.manifest import read_manifest, write_manifest
from aista.data.states import recording_keys
from aista.engine.cost.dry_run import dry_run
from aista.engine.encoder_cache import cached_encoder
from aista.engine.inference.evaluate import evaluate
from aista.engine.inference.probe import probe
from aista.engine.inference.translate import translate
from aista.engine.inputs import load_split
from aista.engine.training.train import train
from aista.errors import ConfigError, DataError, RunError
from aista.modules.encoders.conformer import ConformerEncoder
from aista.run_folder.metric_records import read_records
from aista.run_folder.parsing import read_object
from aista.tasks.experiment import load_experiment, structure_experiment
from aista.tasks.preflight import build_task
from aista.tasks.speech_translation import SpeechTranslationTask
from tests.engine.training.processes import in_processes
from tests.modules.encoders.folders import make_folder
from tests.tiny import tiny_config, write_config

RETRIEVAL = {"name": "retrieval", "config": {"warmup_steps": 2, "probe_size": 8, "top_k": 2}}
TRAINER = {"max_steps": 8, "learning_rate": 3e-3, "log_every": 1, "validate_every": 4, "checkpoint_every": 4}


@pytest.fixture
def experiment(tmp_path, corpus):
    def make(*overrides, cached=True, **changes):
        config = tiny_config(corpus, trainer=TRAINER, layer_selection=RETRIEVAL)
        config["encoder"]["tuning"] = "frozen"
        if cached:
            config["data"]["encoder_cache"] = {"name": "disk", "config": {"path": str(tmp_path / "cache")}}
        return load_experiment(write_config(tmp_path / "config.yaml", config | changes), overrides)

    return make


TIMED = re.compile(r".*(time|second|throughput|rate|memory|elapsed|_per_).*")


def losses(run):
    """All metrics but times, by file and step; of a step that was taken again, the later line counts."""
    found = {}
    for name in ("train", "valid"):
        for record in read_records(run / "metrics" / f"{name}.jsonl"):
            found[name, record["step"]] = {key: value for key, value in record.items() if not TIMED.match(key)}
    return found


@pytest.fixture
def calls(monkeypatch):
    """Batch sizes that the encoder saw, and how many recordings' features were computed."""
    counts = {"encoded": [], "features": 0}
    forward, feature = ConformerEncoder.forward, LogMel.__call__

    def counted_forward(self, audio, lengths):
        counts["encoded"].append(len(lengths))
        return forward(self, audio, lengths)

    def counted_feature(self, wave):
        counts["features"] += 1
        return feature(self, wave)

    monkeypatch.setattr(ConformerEncoder, "forward", counted_forward)
    monkeypatch.setattr(LogMel, "__call__", counted_feature)
    return counts


@pytest.fixture
def row_by_row(monkeypatch):
    """Let the encoder run on each row alone, so that no kernel's rounding depends on the batch."""
    forward = ConformerEncoder.forward

    def alone(self, audio, lengths):
        rows = [forward(self, audio[i : i + 1, :length], lengths[i : i + 1]) for i, length in enumerate(lengths)]
        states = pad_sequence([states[0] for states, _ in rows], batch_first=True)
        return states, torch.cat([length for _, length in rows])

    monkeypatch.setattr(ConformerEncoder, "forward", alone)


@pytest.fixture
def plain_run(tmp_path, experiment):
    train(experiment(cached=False), tmp_path / "plain")
    return tmp_path / "plain"


def test_training_evaluation_and_probe_equal_those_without_cache(tmp_path, experiment, row_by_row, plain_run):
    cached = tmp_path / "cached"
    train(experiment(), cached)
    assert len(losses(cached)) == 10
    assert losses(cached) == losses(plain_run)
    for file in ("selection.json", "parameters.json"):
        assert read_object(cached / file, "train") == read_object(plain_run / file, "train")
    assert evaluate(cached, "test").scores == evaluate(plain_run, "test").scores
    curves = [probe(run, "test", size=6, resamples=0)[1].to_json() for run in (cached, plain_run)]
    assert curves[0] == curves[1]


def test_a_mixture_of_manifests_that_share_ids_trains_on_the_states_of_its_own_rows(
    tmp_path, corpus, experiment, row_by_row
):
    rows = [replace(row, audio=str(corpus / row.audio)) for row in read_manifest(corpus / "test.tsv").rows]
    write_manifest(tmp_path / "more.tsv", [replace(row, id=f"train{number}") for number, row in enumerate(rows)])
    more = (f"data.speech=[{tmp_path / 'more.tsv'}]", "data.mix={temperature: 1e9}")
    for cached in (True, False):
        train(experiment(*more, cached=cached), tmp_path / f"cached_{cached}")
    assert losses(tmp_path / "cached_True") == losses(tmp_path / "cached_False")
    assert read_object(tmp_path / "cached_True" / "timing.json", "train")["rows_read"] == {
        str(corpus / "train.tsv"): 32,
        str(tmp_path / "more.tsv"): 32,
    }


def test_batched_encoding_differs_by_rounding_alone(tmp_path, experiment, plain_run):
    train(experiment(), tmp_path / "cached")
    cached = losses(tmp_path / "cached")
    for step, expected in losses(plain_run).items():
        assert cached[step] == pytest.approx(expected, rel=1e-4, abs=1e-6), step


def recordings(corpus, split):
    rows = read_manifest(corpus / f"{split}.tsv").rows
    return set(recording_keys(rows, corpus / f"{split}.tsv").values())


def test_the_encoder_sees_each_recording_once(tmp_path, corpus, experiment, calls):
    seen = recordings(corpus, "train") | recordings(corpus, "dev")
    train(experiment(), tmp_path / "run")
    assert calls == {"encoded": [1] * len(seen), "features": len(seen)}
    train(experiment("trainer.max_steps=4", "trainer.learning_rate=1e-4"), tmp_path / "another")
    evaluate(tmp_path / "run", "dev")
    assert calls["features"] == len(seen), "another run and the evaluation find all states"
    new = len(recordings(corpus, "test") - seen)
    evaluate(tmp_path / "run", "test")
    evaluate(tmp_path / "another", "test")
    assert calls == {"encoded": [1] * (len(seen) + new), "features": len(seen) + new}


def test_a_dry_run_says_what_it_would_take_and_writes_nothing(tmp_path, corpus, experiment, calls):
    found = dry_run(experiment("data.encoder_cache.config.dtype=float16"), processes=(1,))
    rows = {key: row for row in read_manifest(corpus / "train.tsv").rows for key in [row.audio]}
    keys = recording_keys(tuple(rows.values()), corpus / "train.tsv")
    frames = {keys[row.audio]: math.ceil((1 + row.n_frames // 160) / 4) for row in rows.values()}
    size = sum(frames.values()) * 16 * 2 / 2**20
    said = f"{len(frames)} recordings: 0 cached, {len(frames)} to encode, which takes {size:.1f} MiB; in {tmp_path}"
    assert f"train: encoder states of {said}" in str(found)
    assert ("encoder", 1) not in found.cost.step.operations
    assert ("adapter", 1) in found.cost.step.operations
    assert calls == {"encoded": [], "features": 0}
    assert not (tmp_path / "cache").exists()
    assert not (tmp_path / "run").exists()


def test_too_little_room_is_an_error_before_anything_is_encoded(tmp_path, experiment, calls, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=100))
    with pytest.raises(DataError, match=r"the encoder states need 0.00 GiB, and 0.00 GiB are free; make room"):
        train(experiment(), tmp_path / "run")
    assert calls["encoded"] == []


def test_an_interrupted_encoding_goes_on_where_it_stopped(tmp_path, corpus, experiment, calls, monkeypatch):
    monkeypatch.setattr(cached_encoder, "WRITE_SECONDS", 0.0)
    encode, num_recordings = ConformerEncoder.forward, len(recordings(corpus, "train") | recordings(corpus, "dev"))

    def fail(self, audio, lengths):
        if len(calls["encoded"]) == 10:
            raise KeyboardInterrupt
        return encode(self, audio, lengths)

    with monkeypatch.context() as interrupted:
        interrupted.setattr(ConformerEncoder, "forward", fail)
        with pytest.raises(KeyboardInterrupt):
            train(experiment(), tmp_path / "run")
    train(experiment(), tmp_path / "run")
    assert len(calls["encoded"]) == num_recordings


def test_a_resumed_run_knows_the_states_of_its_encoder(tmp_path, experiment, calls, monkeypatch):
    """Its encoder comes from another run; a resumed one takes its weights from its own checkpoint."""
    train(experiment(cached=False), tmp_path / "first")
    config = experiment(f"initialize.encoder={tmp_path / 'first'}", "seed=5")
    train(config, tmp_path / "whole")
    start_step = SpeechTranslationTask.start_step

    def stop(self, step, num_steps):
        if step == 6:
            raise KeyboardInterrupt
        start_step(self, step, num_steps)

    with monkeypatch.context() as stopped:
        stopped.setattr(SpeechTranslationTask, "start_step", stop)
        with pytest.raises(KeyboardInterrupt):
            train(config, tmp_path / "run")
    calls.update(encoded=[], features=0)
    train(config, tmp_path / "run")
    assert calls == {"encoded": [], "features": 0}
    assert losses(tmp_path / "run") == losses(tmp_path / "whole")


def test_damaged_states_stop_the_run_and_are_encoded_again_once_deleted(tmp_path, experiment):
    train(experiment(), tmp_path / "whole")
    damaged = max((tmp_path / "cache").rglob("*.safetensors"), key=lambda file: file.stat().st_size)
    content = bytearray(damaged.read_bytes())
    content[-1] ^= 255
    damaged.write_bytes(content)
    with pytest.raises(DataError, match=f"{damaged}: the states of the recording .* are damaged"):
        train(experiment(), tmp_path / "again")
    damaged.unlink()
    train(experiment(), tmp_path / "again")
    assert losses(tmp_path / "again") == losses(tmp_path / "whole")
    kept = damaged.with_name("cut.safetensors")
    next((tmp_path / "cache").rglob("*.safetensors")).rename(kept)
    kept.write_bytes(kept.read_bytes()[:-9])
    train(experiment(), tmp_path / "third")
    assert losses(tmp_path / "third") == losses(tmp_path / "whole")


FREE = {"name": "conformer", "config": {"model_dim": 16, "num_layers": 1, "num_heads": 2, "ffn_dim": 32}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"encoder": FREE},
            "data.encoder_cache: needs a frozen encoder, but all of it is trained; set encoder.tuning: f",
        ),
        ({"encoder": FREE | {"tuning": "full"}}, "needs a frozen encoder, got encoder.tuning 'full'"),
        (
            {"encoder": FREE | {"tuning": "lora"}},
            "needs a frozen encoder, got encoder.tuning 'lora'; set encoder.tuning: ",
        ),
        (
            {"task": "text_translation"},
            "data.encoder_cache: the task 'text_translation' reads no encoder states; remove",
        ),
    ],
)
def test_what_needs_no_model_to_be_seen_is_refused_at_once(tmp_path, experiment, changes, message):
    config = experiment(**changes) if "task" not in changes else text_only(experiment)
    with pytest.raises(ConfigError) as error:
        train(config, tmp_path / "run")
    assert message in str(error.value)
    assert not (tmp_path / "run").exists()


def text_only(experiment):
    raw = {key: value for key, value in experiment().raw.items() if key in ("tokenizer", "data", "llm", "trainer")}
    return structure_experiment(raw | {"task": "text_translation"})


@pytest.mark.parametrize("command", [lambda config, run: dry_run(config), train], ids=["dry run", "train"])
def test_a_pattern_that_leaves_a_tensor_out_is_refused(tmp_path, experiment, command):
    config = experiment(encoder=FREE, freeze_params=[r"encoder\..*weight"])
    message = (
        r"data.encoder_cache: needs a frozen encoder, but \d+ of its tensors are trained, e.g. encoder\..*bias; set "
    )
    with pytest.raises(ConfigError, match=message):
        command(config, tmp_path / "run")
    assert not (tmp_path / "cache").exists()


def test_a_pattern_that_covers_the_encoder_will_do(tmp_path, corpus, experiment, calls):
    train(experiment(encoder=FREE, freeze_params=["encoder"]), tmp_path / "run")
    assert len(calls["encoded"]) == len(recordings(corpus, "train") | recordings(corpus, "dev"))


def test_a_learned_sum_of_layers_is_refused_with_its_remedy(tmp_path, corpus, experiment):
    folder = make_folder(tmp_path / "model", "wav2vec2-base")
    encoder = {"name": "hf_speech", "config": {"path": str(folder), "layers": "weighted"}}
    config = experiment("data.feature=waveform", encoder=encoder, freeze_params=[r"encoder\.model"])
    with pytest.raises(
        ConfigError, match=r"1 of its tensors are trained, e.g. encoder.mix.weights \(the weights of a sum"
    ):
        dry_run(config)


def test_stages_train_their_encoder_without_the_cache(experiment):
    stage = {"name": "ctc", "task": "ctc_asr", "part": "encoder"}
    config = experiment(pretraining=[stage])
    assert config.sections.data.encoder_cache is not None
    assert config.stage(config.sections.pretraining[0]).sections.data.encoder_cache is None


def test_a_head_over_a_frozen_encoder_is_trained_from_states(tmp_path, corpus, experiment, calls):
    raw = {key: value for key, value in experiment().raw.items() if key in ("tokenizer", "encoder", "trainer")}
    data = {key: value for key, value in experiment().raw["data"].items() if key != "target_language"}
    train(structure_experiment(raw | {"task": "ctc_asr", "data": data}), tmp_path / "run")
    assert len(calls["encoded"]) == len(recordings(corpus, "train") | recordings(corpus, "dev"))


def test_new_files_are_encoded_as_ever(tmp_path, corpus, experiment, calls):
    train(experiment(), tmp_path / "run")
    calls.update(encoded=[], features=0)
    files = [corpus / row.audio for row in read_manifest(corpus / "dev.tsv").rows[:2]]
    assert len(list(translate(tmp_path / "run", files))) == 2
    assert calls == {"encoded": [2], "features": 2}


@pytest.mark.slow
@pytest.mark.parametrize("parallelism", ["ddp", "fsdp"])
def test_two_processes_share_the_work_and_equal_one(tmp_path, corpus, experiment, parallelism):
    config = experiment(f"trainer.data_parallelism={parallelism}").to_plain()
    for part in ("encoder", "llm"):
        config[part]["config"]["dropout"] = 0.0
    file = write_config(tmp_path / "two.yaml", config)
    train(load_experiment(file, [f"data.encoder_cache.config.path={tmp_path / 'one'}"]), tmp_path / "single")
    in_processes(2, file, tmp_path / "two")
    found = losses(tmp_path / "two")
    for step, expected in losses(tmp_path / "single").items():
        for name in expected.keys() & {"nll", "ot_layer_1", "bleu"}:
            assert found[step][name] == pytest.approx(expected[name], rel=1e-4), (step, name)
    one, two = (read_cache(tmp_path / folder) for folder in ("one", "cache"))
    assert two.keys() == one.keys() == recordings(corpus, "train") | recordings(corpus, "dev")
    assert all(torch.equal(two[key], one[key]) for key in one)
    assert len(list((tmp_path / "cache").rglob("*.safetensors"))) > len(list((tmp_path / "one").rglob("*.safetensors")))


def read_cache(folder):
    return {key: states for file in folder.rglob("*.safetensors") for key, states in load_file(file).items()}


def test_a_process_whose_partner_is_gone_says_so(tmp_path, experiment, monkeypatch):
    monkeypatch.setattr(cached_encoder, "PATIENCE_SECONDS", 0.1)
    config = experiment()
    task = build_task(config)
    split = load_split(config, task, "train")
    encoder = cached_encoder.CachedEncoder(config, task.build_model(), "cpu", rank=0, world_size=2)
    with pytest.raises(RunError, match=r"11 recordings are left to other processes"):
        encoder.serve(split)
