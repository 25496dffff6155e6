"""Models by their names on the hub: trained from, recorded at their commit, pinned on resume, exported."""

import json
import logging
import shutil
from pathlib import Path

import pytest
import transformers
import yaml

import aista
from aista.cli.main import main
from aista.errors import AistaError, ConfigError, RunError
from aista.run_folder.contents import RunFolder
from aista.tasks.experiment import load_experiment, structure_experiment
from aista.tasks.hub_models import pin_models
from tests.engine.bases import save_bases
from tests.hub import disconnect
from tests.tiny import make_corpus, tiny_config, write_config

STEPS = {"max_steps": 4, "learning_rate": 1e-2, "log_every": 2, "checkpoint_every": 2, "validate_every": 4}
LORA = {"name": "lora", "config": {"r": 4, "lora_alpha": 8, "lora_dropout": 0.0}}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return make_corpus(tmp_path_factory.mktemp("tones") / "corpus")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Folders of a random Whisper and a random Llama with its own tokenizer."""
    return save_bases(tmp_path_factory.mktemp("models"), max_shard_size="20KB")


@pytest.fixture
def published(hub, models):
    """Name -> commit of the models on the hub."""
    return {name: hub.add(name, models / name.partition("/")[2]) for name in ("tiny/whisper", "tiny/llama")}


def options(corpus, **trainer):
    config = tiny_config(corpus, trainer=STEPS | trainer)
    config["encoder"] = {"name": "whisper", "tuning": "frozen", "config": {"path": "tiny/whisper"}}
    config["llm"] = {"name": "hf_causal_lm", "tuning": LORA, "config": {"path": "tiny/llama"}}
    config["tokenizer"] = {"name": "hugging_face", "config": {"path": "tiny/llama"}}
    config["prompt"] = "{speech}<|fr|>"
    config["data"]["feature"] = "whisper_log_mel"
    config["evaluation"] |= {"metrics": [{"name": "bleu"}]}
    return config


def written(tmp_path, corpus, **changes):
    return write_config(tmp_path / "config.yaml", options(corpus) | changes)


def touch(models, tmp_path):
    """A folder of the Llama with other weights."""
    shutil.copytree(models / "llama", tmp_path / "other")
    model = transformers.LlamaForCausalLM.from_pretrained(models / "llama")
    model.lm_head.weight.data += 1
    model.save_pretrained(tmp_path / "other", max_shard_size="20KB")
    return tmp_path / "other"


def test_a_run_has_its_commits_and_keeps_to_them(hub, published, models, corpus, tmp_path, caplog, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file, run = written(tmp_path, corpus), tmp_path / "run"
    assert main(["train", str(run), "--config", str(file)]) == 0
    names = {f"{name}@{commit}" for name, commit in published.items()}
    environment = RunFolder(run).environment()
    assert environment["models"] == published
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert {config[part]["config"]["path"] for part in ("encoder", "llm", "tokenizer")} == names
    assert "pickle" not in " ".join(hub.log)
    wavs = sorted((corpus / "audio").glob("test*.wav"))
    expected = [*aista.load(run, device="cpu").stream(wavs)]

    # The branch moves: the same command resumes with what the run began with, and says so.
    hub.add("tiny/llama", touch(models, tmp_path))
    shutil.copytree(run, tmp_path / "stopped")
    shutil.rmtree(tmp_path / "stopped" / "checkpoints" / "step_4")
    (tmp_path / "stopped" / "timing.json").unlink()
    with caplog.at_level(logging.INFO, "aista.hub"):
        assert main(["train", str(tmp_path / "stopped"), "--config", str(file)]) == 0
    assert f"tiny/llama: commit {published['tiny/llama']} of the hub, as when it began" in capsys.readouterr().err
    assert [*aista.load(tmp_path / "stopped", device="cpu").stream(wavs)] == expected

    # Neither network nor models are needed to translate; exports say where their bases are.
    disconnect(monkeypatch)
    assert main(["export", str(run), str(tmp_path / "out")]) == 0
    assert [*aista.load(tmp_path / "out", device="cpu").stream(wavs)] == expected
    base = json.loads((tmp_path / "out" / "config.json").read_text())["base"]
    assert base["llm"]["name"] == f"tiny/llama@{published['tiny/llama']}"
    assert sorted(path.name for path in (tmp_path / "out" / "llm").iterdir()) == ["config.json"]
    assert main(["export", str(run), str(tmp_path / "small"), "--trainable-only"]) == 0
    with pytest.raises(RunError, match=rf"add --base encoder=tiny/whisper@{published['tiny/whisper']}$"):
        aista.load(tmp_path / "small", device="cpu")
    bases = {"encoder": models / "whisper", "llm": Path(f"tiny/llama@{published['tiny/llama']}")}
    assert [*aista.load(tmp_path / "small", device="cpu", base=bases).stream(wavs)] == expected


def test_a_dry_run_fetches_no_weights(hub, published, corpus, tmp_path, capsys):
    assert main(["train", str(tmp_path / "run"), "--config", str(written(tmp_path, corpus)), "--dry-run"]) == 0
    assert "trainable" in capsys.readouterr().out
    assert hub.asked("safetensors") == hub.asked("cdn") == []
    assert not (tmp_path / "run").exists()


def test_a_dry_run_says_which_weights_are_missing(hub, published, corpus, tmp_path, capsys):
    for file in [file for file in hub.repositories["tiny/llama"].files if "safetensors" in file]:
        del hub.repositories["tiny/llama"].files[file]
    command = ["train", str(tmp_path / "run"), "--config", str(written(tmp_path, corpus))]
    assert main([*command, "--dry-run"]) == 0
    assert f"llm: no weights in tiny/llama@{published['tiny/llama']} yet; a run" in capsys.readouterr().out
    assert main(command) == 2
    assert "llm.config" in (message := capsys.readouterr().err)
    assert "/tiny/llama holds no weights (model.safetensors); choose a revision or another model" in message
    assert not (tmp_path / "run").exists()


def test_a_local_folder_wins_and_is_told(hub, published, models, corpus, tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(models, tmp_path / "tiny")
    experiment = load_experiment(written(tmp_path, corpus))
    with caplog.at_level(logging.INFO, "aista.hub"):
        assert pin_models(experiment).to_plain() == experiment.to_plain()
    assert caplog.text.count("tiny/llama: a folder here, so the hub is not asked") == 1
    assert hub.log == []


def test_a_run_that_began_with_a_folder_never_asks_the_hub(
    hub, published, models, corpus, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(models, tmp_path / "tiny")
    file, run = written(tmp_path, corpus), str(tmp_path / "run")
    assert main(["train", run, "--config", str(file), "trainer.max_steps=2"]) == 0
    assert "models" not in RunFolder(run).environment()
    shutil.move(tmp_path / "tiny", tmp_path / "moved")
    assert main(["train", run, "--config", str(file), "trainer.max_steps=2"]) == 2
    message = capsys.readouterr().err
    assert (
        "encoder.config.path: no folder tiny/whisper here, and this run began without a model of that name" in message
    )
    assert main(["train", run]) == 2
    assert "no such folder" in capsys.readouterr().err
    assert hub.log == []


def test_a_run_that_began_with_the_hub_keeps_to_it(hub, published, models, corpus, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    file, run = written(tmp_path, corpus), str(tmp_path / "run")
    command = ["train", run, "--config", str(file), "trainer.max_steps=2"]
    assert main(command) == 0
    shutil.copytree(models, tmp_path / "tiny")
    assert main(command) == 0
    assert "tiny/llama: a folder here now, but it began with commit" in capsys.readouterr().err
    assert main([*command, "llm.config.path=tiny/llama@main"]) == 2
    assert "llm.config.path: no folder tiny/llama@main here, and this run began without" in capsys.readouterr().err
    assert main([*command, f"llm.config.path=tiny/llama@{published['tiny/llama']}"]) == 0


def test_stages_have_the_commits_of_their_run(hub, published, models, corpus, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    other = hub.add("tiny/llama", touch(models, tmp_path), revision="v2")
    stage = {
        "name": "lm",
        "task": "text_translation",
        "part": "llm",
        "config": {"llm": {"config": {"path": "tiny/llama@v2"}}, "trainer": {"max_steps": 2}},
    }
    file = written(tmp_path, corpus, pretraining=[stage])
    assert main(["train", "run", "--config", str(file), "--stage", "lm"]) == 0
    assert RunFolder("run").environment()["models"] == {**published, "tiny/llama@v2": other}
    config = yaml.safe_load((tmp_path / "run/pretraining/lm/config.yaml").read_text())
    assert config["llm"]["config"]["path"] == f"tiny/llama@{other}"
    hub.add("tiny/llama", models / "llama", revision="v2")
    assert main(["train", "run"]) == 0


def test_every_name_that_leads_nowhere_is_named(hub, published, corpus, tmp_path, capsys):
    config = options(corpus)
    config["encoder"]["config"]["path"] = "tiny/wisper"
    config["llm"]["config"]["path"] = "tiny/llama@v7"
    with pytest.raises(ConfigError) as caught:
        pin_models(structure_experiment(config))
    assert [fault.path for fault in caught.value.faults] == ["llm.config.path", "encoder.config.path"][::-1]
    run = tmp_path / "run"
    assert main(["train", str(run), "--config", str(write_config(tmp_path / "config.yaml", config))]) == 2
    message = capsys.readouterr().err
    assert "encoder.config.path: there is no folder tiny/wisper here" in message
    assert "llm.config.path: " in message
    assert "has no revision 'v7'" in message
    assert not run.exists()


def test_a_moved_branch_between_two_processes_is_told(hub, published, corpus, tmp_path, monkeypatch):
    from aista.engine.claim import claim

    experiment = pin_models(load_experiment(written(tmp_path, corpus)))
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.yaml").write_text("{}")
    (run / "environment.json").write_text(json.dumps({"models": {**published, "tiny/llama": "0" * 40}}))
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(AistaError, match="tiny/llama: moved on the hub from one process to the next"):
        claim(run, experiment, None)
