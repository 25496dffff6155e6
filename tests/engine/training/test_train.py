import json
import re

import pytest
import torch

from aista.engine.checkpoints import find_checkpoint, load_weights
from aista.engine.training.train import train
from aista.errors import AistaError, ConfigError, DataError, RunError
from aista.run_folder.paths import RunPaths
from aista.tasks.experiment import load_experiment
from tests.tiny import tiny_config, write_config


def experiment(tmp_path, corpus, *overrides, **changes):
    return load_experiment(write_config(tmp_path / "config.yaml", tiny_config(corpus, **changes)), overrides)


def records(run, split="train"):
    return [json.loads(line) for line in (run / "metrics" / f"{split}.jsonl").read_text().splitlines()]


def test_a_run_folder_holds_what_the_docs_promise(tmp_path, corpus):
    run = tmp_path / "run"
    train(experiment(tmp_path, corpus), run)
    names = {path.name for path in run.iterdir()}
    assert {"config.yaml", "environment.json", "data.json", "selection.json", "timing.json", "metrics"} <= names
    assert [record["step"] for record in records(run)] == [2, 4, 6, 8]
    assert {"nll", "ot_layer_0", "ot_layer_1", "ot_converged"} <= records(run)[-1].keys()
    assert records(run, "valid")[-1]["bleu"] >= 0
    assert find_checkpoint(run).step == 8
    assert json.loads((run / "selection.json").read_text())["layers"] == [0, 1]


def test_training_learns(tmp_path, corpus):
    run = tmp_path / "run"
    train(experiment(tmp_path, corpus, "trainer.max_steps=60", "trainer.learning_rate=1e-2"), run)
    steps = records(run)
    assert steps[-1]["nll"] < 0.6 * steps[0]["nll"]
    assert steps[-1]["ot_layer_1"] < steps[0]["ot_layer_1"]


@pytest.mark.parametrize("name", ["cif", "ctc_compress", "moe"])
def test_an_adapters_own_losses_are_trained_and_recorded(tmp_path, corpus, name):
    run = tmp_path / "run"
    overrides = ["trainer.max_steps=40", "trainer.learning_rate=1e-2", "trainer.mixed_precision=bfloat16"]
    train(experiment(tmp_path, corpus, *overrides, adapter={"name": name}), run)
    steps = records(run)
    assert steps[-1]["nll"] < 0.8 * steps[0]["nll"]
    (own,) = {"adapter_quantity", "adapter_ctc", "adapter_load_balance"} & steps[0].keys()
    assert own in records(run, "valid")[-1]
    assert steps[-1][own] < steps[0][own] or name == "moe"
    assert records(run, "valid")[-1]["bleu"] >= 0


def test_a_complete_run_is_not_trained_again(tmp_path, corpus):
    run = tmp_path / "run"
    train(experiment(tmp_path, corpus), run)
    before = (run / "metrics" / "train.jsonl").read_text()
    train(experiment(tmp_path, corpus), run)
    assert (run / "metrics" / "train.jsonl").read_text() == before


def test_a_run_folder_of_another_experiment_is_refused(tmp_path, corpus):
    run = tmp_path / "run"
    train(experiment(tmp_path, corpus), run)
    with pytest.raises(AistaError, match=r"another experiment.*trainer\.learning_rate: 0\.003 there, 0\.1 here"):
        train(experiment(tmp_path, corpus, "trainer.learning_rate=0.1"), run)


def test_a_folder_that_is_no_run_is_refused(tmp_path, corpus):
    photos = tmp_path / "photos"
    named_as_leftovers = [photos / "checkpoints" / "step_7.tmp" / "cat.jpg", photos / ".cats.json.0123abcd"]
    named_as_leftovers[0].parent.mkdir(parents=True)
    for file in named_as_leftovers:
        file.touch()
    with pytest.raises(AistaError, match="not a run folder"):
        train(experiment(tmp_path, corpus), photos)
    assert all(file.is_file() for file in named_as_leftovers)


def test_a_start_that_was_killed_while_it_wrote_the_config_is_begun_again(tmp_path, corpus):
    run = tmp_path / "run"
    run.mkdir()
    (run / ".config.yaml.a1b2c3d4").write_text("data: {tra")
    train(experiment(tmp_path, corpus), run)
    assert RunPaths(run).is_complete


def test_a_start_that_trained_nothing_makes_room_for_a_mended_config(tmp_path, corpus):
    run = tmp_path / "run"
    with pytest.raises(AistaError, match=r"trainer\.parameter_groups"):
        train(experiment(tmp_path, corpus, "trainer.parameter_groups=[{params: 'nose.*', learning_rate: 0.1}]"), run)
    assert not (run / "config.yaml").exists()
    train(experiment(tmp_path, corpus), run)
    assert [record["step"] for record in records(run)] == [2, 4, 6, 8]


def test_a_resumed_start_that_fails_keeps_its_config(tmp_path, corpus, monkeypatch):
    run = tmp_path / "run"
    monkeypatch.setattr("aista.engine.training.train.run_recipe", _interrupt)
    with pytest.raises(KeyboardInterrupt):
        train(experiment(tmp_path, corpus), run)
    monkeypatch.setattr("aista.engine.training.train.run_recipe", _fail)
    with pytest.raises(RunError, match="no memory"):
        train(experiment(tmp_path, corpus), run)
    assert (run / "config.yaml").is_file()


def _interrupt(*_):
    raise KeyboardInterrupt


def _fail(*_):
    raise RunError("no memory")


def test_pretraining_stages_run_first_and_their_parts_are_taken_over(tmp_path, corpus):
    stages = [
        {"name": "lm", "task": "text_translation", "part": "llm", "config": {"trainer": {"max_steps": 4}}},
        {"name": "ctc", "task": "ctc_asr", "part": "encoder", "config": {"trainer": {"max_steps": 4}}},
    ]
    run = tmp_path / "run"
    frozen = experiment(tmp_path, corpus, pretraining=stages, freeze_params=["llm", "encoder"])
    train(frozen, run)
    trained = load_weights(find_checkpoint(run))
    for stage, part in (("lm", "llm"), ("ctc", "encoder")):
        source = load_weights(find_checkpoint(run / "pretraining" / stage))
        names = [name for name in source if name.startswith(f"{part}.")]
        assert names
        for name in names:
            torch.testing.assert_close(trained[name], source[name], rtol=0, atol=0)


STAGE = {"name": "lm", "task": "text_translation", "part": "llm", "config": {"trainer": {"max_steps": 4}}}


HEAR = {
    "name": "hear",
    "task": "speech_translation",
    "part": "adapter",
    "config": {
        "llm": {"tuning": "frozen"},
        "translation_weight": 0,
        "mt_weight": 0,
        "alignment": [{"name": "ctc"}],
        "layer_selection": {"name": "fixed", "config": {"layers": [0]}},
        "trainer": {"max_steps": 2},
    },
}


def test_a_stage_starts_from_the_parts_of_those_before_it(tmp_path, corpus):
    run = tmp_path / "run"
    staged = experiment(tmp_path, corpus, pretraining=[STAGE, HEAR])
    with pytest.raises(AistaError, match=r"--stage hear: starts from stage 'lm', not yet trained in .*/lm"):
        train(staged, run, stage="hear")
    train(staged, run, stage="lm")
    train(staged, run, stage="hear")
    lm, hear = (load_weights(find_checkpoint(run / "pretraining" / stage)) for stage in ("lm", "hear"))
    names = [name for name in lm if name.startswith("llm.")]
    assert names
    for name in names:
        torch.testing.assert_close(hear[name], lm[name], rtol=0, atol=0)
    train(staged, run)  # neither stage is another experiment when the whole is trained
    assert (run / "timing.json").exists()


def test_a_stage_starts_from_the_part_that_replaces_one_before_it(tmp_path, corpus):
    train(experiment(tmp_path, corpus, pretraining=[STAGE]), tmp_path / "first", stage="lm")
    lm = tmp_path / "first/pretraining/lm"
    train(
        experiment(tmp_path, corpus, f"initialize.llm={lm}", pretraining=[STAGE, HEAR]), tmp_path / "run", stage="hear"
    )
    trained, source = (
        load_weights(find_checkpoint(tmp_path / "run/pretraining/hear")),
        load_weights(find_checkpoint(lm)),
    )
    for name in (name for name in source if name.startswith("llm.")):
        torch.testing.assert_close(trained[name], source[name], rtol=0, atol=0)


def test_a_stage_can_be_trained_alone(tmp_path, corpus):
    run = tmp_path / "run"
    staged = experiment(tmp_path, corpus, pretraining=[STAGE])
    train(staged, run, stage="lm")
    assert (run / "pretraining" / "lm" / "timing.json").exists()
    assert not (run / "checkpoints").exists()
    train(staged, run)
    assert (run / "timing.json").exists()


def test_an_unknown_stage_is_named(tmp_path, corpus):
    with pytest.raises(AistaError, match=r"unknown stage 'lmm' \(did you mean 'lm'\?\)"):
        train(experiment(tmp_path, corpus, pretraining=[STAGE]), tmp_path / "run", stage="lmm")


def test_several_processes_refuse_stages_within_the_run(tmp_path, corpus, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(AistaError, match="first add `--stage lm`"):
        train(experiment(tmp_path, corpus, pretraining=[STAGE]), tmp_path / "run")


def test_parts_of_another_size_are_refused(tmp_path, corpus):
    train(experiment(tmp_path, corpus, "alignment=[]", "trainer.max_steps=2"), tmp_path / "small")
    wider = experiment(
        tmp_path, corpus, f"initialize.llm={tmp_path / 'small'}", "llm.config.model_dim=32", "trainer.max_steps=2"
    )
    with pytest.raises(RunError, match=r"initialize\.llm.*another architecture"):
        train(wider, tmp_path / "run")


def test_an_initial_run_that_does_not_exist_is_a_fault_of_the_config(tmp_path, corpus):
    with pytest.raises(ConfigError, match=r"initialize\.encoder: no trained run folder"):
        train(experiment(tmp_path, corpus, f"initialize.encoder={tmp_path / 'nowhere'}"), tmp_path / "run")


def test_a_parameter_group_that_matches_nothing_is_a_fault(tmp_path, corpus):
    with pytest.raises(ConfigError, match=r"parameter_groups\[0\].*'lm.x' matches no parameter"):
        train(
            experiment(tmp_path, corpus, "trainer.parameter_groups=[{params: lm.x, learning_rate: 0.1}]"),
            tmp_path / "run",
        )


def test_early_stopping_ends_training(tmp_path, corpus):
    run = tmp_path / "run"
    overrides = ["trainer.max_steps=40", "trainer.validate_every=2", "trainer.early_stopping_patience=2"]
    train(experiment(tmp_path, corpus, *overrides, "trainer.learning_rate=1e-9", "evaluation.score=bleu"), run)
    assert records(run)[-1]["step"] < 40


def test_the_whole_loss_can_pick_the_best_checkpoint(tmp_path, corpus):
    run = tmp_path / "run"
    overrides = ["evaluation.score=loss", "layer_selection={name: fixed, config: {layers: [0]}}"]
    train(experiment(tmp_path, corpus, *overrides), run)
    valid = json.loads((run / "metrics" / "valid.jsonl").read_text().splitlines()[-1])
    # The NLL is a mean over tokens, the alignment one over rows.
    assert valid["loss"] == pytest.approx(valid["nll"] + 0.5 * valid["ot_layer_0"], rel=1e-2)
    assert valid["score"] == -valid["loss"]
    assert all("loss" not in record for record in records(run))


@pytest.mark.parametrize(
    "overrides",
    [["trainer.grad_accumulation=2"], ["trainer.activation_checkpointing=true"], ["trainer.mixed_precision=bfloat16"]],
    ids=["accumulation", "activation checkpointing", "bfloat16"],
)
def test_variants_of_a_step_train_too(tmp_path, corpus, overrides):
    run = tmp_path / "run"
    train(experiment(tmp_path, corpus, *overrides, "data.batch_size=4"), run)
    assert torch.tensor([record["nll"] for record in records(run)]).isfinite().all()


def test_rows_beyond_the_models_positions_are_listed_before_the_first_step(tmp_path, corpus):
    run = tmp_path / "run"
    small = ["llm.config.max_positions=26", "evaluation.generation.max_new_tokens=4"]
    with pytest.raises(DataError) as caught:
        train(experiment(tmp_path, corpus, *small), run)
    message = str(caught.value)
    assert f"{corpus}/train.tsv: 24 rows" in message
    assert re.search(
        r"train\.tsv:\d+: train\d+: must take at most 26 LLM positions, got \d+; shorten the speech", message
    )
    assert not (run / "metrics" / "train.jsonl").exists()


def test_rows_beyond_the_models_positions_are_dropped_and_counted_if_allowed(tmp_path, corpus):
    run = tmp_path / "run"
    small = ["llm.config.max_positions=26", "evaluation.generation.max_new_tokens=4", "data.on_bad_rows=drop"]
    train(experiment(tmp_path, corpus, *small), run)
    (report,) = json.loads((run / "data.json").read_text())["train"].values()
    assert 0 < report["counts"]["bad"] == len(report["problems"]) < 24
    assert {problem["kind"] for problem in report["problems"]} == {"too many LLM positions"}
    assert records(run)[-1]["step"] == 8
