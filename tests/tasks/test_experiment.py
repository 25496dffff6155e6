import re
from dataclasses import replace
from pathlib import Path

import pytest

from aista.data.manifest import read_manifest, write_manifest
from aista.errors import ConfigError, PluginError
from aista.tasks.experiment import load_experiment
from aista.tasks.preflight import preflight
from tests.scoring.copied import Copied, Heard
from tests.tiny import tiny_config, write_config


def load(tmp_path, corpus, *overrides, **changes):
    return load_experiment(write_config(tmp_path / "config.yaml", tiny_config(corpus, **changes)), overrides)


def faults(error):
    return {fault.path: str(fault) for fault in error.value.faults}


def test_the_resolved_config_reads_back_as_itself(tmp_path, corpus):
    experiment = load(tmp_path, corpus)
    again = load_experiment(write_config(tmp_path / "again.yaml", experiment.to_plain()))
    assert again.to_plain() == experiment.to_plain()


@pytest.mark.parametrize(
    ("overrides", "loaded"),
    [
        ((), ["configs/own.py"]),
        (("plugins=[other.py]",), ["other.py"]),
        (("plugins[1]=./configs/../other.py",), ["configs/own.py", "other.py"]),
    ],
)
def test_plugins_of_a_config_start_from_its_folder_and_those_of_overrides_from_the_current_one(
    tmp_path, corpus, monkeypatch, overrides, loaded
):
    monkeypatch.chdir(tmp_path)
    for name in ("configs/own.py", "other.py"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(f"# {tmp_path}")
    config = write_config(Path("configs/config.yaml"), tiny_config(corpus, plugins=["own.py"]))
    experiment = load_experiment(config, overrides)
    assert experiment.sections.plugins == tuple(tmp_path.resolve() / name for name in loaded)
    with pytest.raises(
        PluginError, match=r"plug-in 'own.py': must be a Python file \(.py\), found none at .*/own.py; "
    ):
        load_experiment(config, ["plugins=[own.py]"])
    with pytest.raises(PluginError, match=r"plug-in '/none.py': must be a Python file \(.py\), found none; "):
        load_experiment(config, ["plugins=[/none.py]"])


def test_three_mistakes_are_three_faults(tmp_path, corpus):
    with pytest.raises(ConfigError) as error:
        load(tmp_path, corpus, "trainer.max_stepz=3", "encoder=conformr", "alignment[0].weight=-1")
    found = faults(error)
    assert set(found) == {"trainer.max_stepz", "encoder.name", "alignment[0].weight"}
    assert "did you mean 'max_steps'" in found["trainer.max_stepz"]
    assert "did you mean 'conformer'" in found["encoder.name"]
    assert "at least 0" in found["alignment[0].weight"]


def test_an_unknown_top_level_key_is_a_fault_of_the_task(tmp_path, corpus):
    with pytest.raises(ConfigError, match=r"encodr: unknown option of task 'speech_translation' \(did you mean 'enc"):
        load(tmp_path, corpus, "encodr=conformer")


def test_an_unknown_task_is_named(tmp_path, corpus):
    with pytest.raises(ConfigError, match=r"task: unknown task 'speech_translatoin' \(did you mean"):
        load(tmp_path, corpus, "task=speech_translatoin")


def test_a_stage_inherits_what_it_understands_but_not_names_of_parameters(tmp_path, corpus):
    experiment = load(
        tmp_path,
        corpus,
        "trainer.parameter_groups=[{params: llm, learning_rate: 0.1}]",
        f"data.speech=[{corpus / 'dev.tsv'}]",
        "data.shuffle_transcripts=true",
        "data.encoder_cache={name: disk, config: {path: states}}",
        pretraining=[{"name": "ctc", "task": "ctc_asr", "part": "encoder", "config": {"trainer": {"max_steps": 3}}}],
        freeze_params=["llm"],
    )
    stage = experiment.stage(experiment.sections.pretraining[0])
    assert stage.sections.task == "ctc_asr"
    assert stage.task_config.encoder == experiment.task_config.encoder
    assert stage.sections.trainer.max_steps == 3
    assert stage.sections.trainer.learning_rate == experiment.sections.trainer.learning_rate
    assert stage.sections.trainer.parameter_groups == ()
    assert stage.task_config.freeze_params == ()
    assert stage.sections.data.speech == ()
    assert not stage.sections.data.shuffle_transcripts
    assert stage.sections.data.encoder_cache is None
    assert stage.sections.data.feature == experiment.sections.data.feature
    assert stage.sections.pretraining == ()


def test_a_stage_inherits_no_tuning_but_may_have_its_own(tmp_path, corpus):
    stages = [
        {"name": "lm", "task": "text_translation", "part": "llm"},
        {"name": "lm2", "task": "text_translation", "part": "llm", "config": {"llm": {"tuning": "full"}}},
    ]
    experiment = load(tmp_path, corpus, "llm.tuning={name: lora, config: {r: 2}}", pretraining=stages)
    assert experiment.task_config.llm.tuning.config.r == 2
    plain, own = (experiment.stage(stage).task_config.llm for stage in experiment.sections.pretraining)
    assert plain.tuning is None
    assert own.tuning.name == "full"
    assert plain.config == own.config == experiment.task_config.llm.config
    assert experiment.to_plain()["llm"]["tuning"]["config"]["r"] == 2


def test_a_stage_starts_from_trained_parts_that_its_task_has(tmp_path, corpus):
    stages = [
        {"name": "ctc", "task": "ctc_asr", "part": "encoder"},
        {"name": "hear", "task": "speech_translation", "part": "adapter"},
        {"name": "other", "task": "text_translation", "part": "llm", "config": {"initialize": {"llm": "other"}}},
        {"name": "anew", "task": "text_translation", "part": "llm", "config": {"initialize": {"llm": None}}},
    ]
    experiment = load(tmp_path, corpus, pretraining=stages)
    trained = {"llm": tmp_path / "lm", "encoder": tmp_path / "ctc"}
    given = [experiment.stage(stage, trained).sections.initialize.given() for stage in experiment.sections.pretraining]
    assert given == [{"encoder": tmp_path / "ctc"}, trained, {"llm": Path("other")}, {}]


def test_faults_inside_a_stage_carry_its_name(tmp_path, corpus):
    stages = [{"name": "lm", "task": "text_translation", "part": "llm", "config": {"trainer": {"max_steps": 0}}}]
    with pytest.raises(ConfigError, match=r"pretraining\.lm\.trainer\.max_steps: must be at least 1"):
        load(tmp_path, corpus, pretraining=stages)


def test_preflight_finds_every_missing_file(tmp_path, corpus):
    experiment = load(tmp_path, corpus, "data.train=nowhere.tsv", "data.text=[gone.tsv]")
    with pytest.raises(ConfigError) as error:
        preflight(experiment)
    assert {"data.train", "data.text[0]"} == set(faults(error))


def test_preflight_finds_a_missing_tokenizer(tmp_path, corpus):
    with pytest.raises(ConfigError, match=r"tokenizer: .*nowhere\.model"):
        preflight(load(tmp_path, corpus, "tokenizer.config.path=nowhere.model"))


def test_preflight_finds_impossible_layers_before_a_model_is_built(tmp_path, corpus):
    experiment = load(tmp_path, corpus, "layer_selection.config.layers=[1,7]")
    with pytest.raises(ConfigError, match=r"layer_selection.*no layer 7.*0\.\.2"):
        preflight(experiment)


def test_preflight_finds_all_that_is_wrong_at_once(tmp_path, corpus):
    overrides = ["data.train=nowhere.tsv", "tokenizer.config.path=nowhere.model", "layer_selection.config.layers=[1,7]"]
    overrides += ["evaluation.score=comet", "trainer.tracking=[{name: mlflow, config: {uri: 'nowhere://x'}}]"]
    stage = {"name": "ctc", "task": "ctc_asr", "part": "encoder"}
    experiment = load(tmp_path, corpus, *overrides, pretraining=[stage])
    with pytest.raises(ConfigError) as error:
        preflight(experiment)
    assert [place for place in faults(error) if "tracking" not in place] == [
        "data.train",
        "tokenizer",
        "evaluation.score",
        "layer_selection.config",
        "pretraining.ctc.evaluation.score",  # other metrics; what the stage inherits is said once
    ]


def test_preflight_finds_a_prompt_without_placeholder(tmp_path, corpus):
    with pytest.raises(ConfigError, match=r"\(top level\): .*\{speech\}"):
        preflight(load(tmp_path, corpus, "prompt='translate:'"))


def test_preflight_finds_a_solver_that_cannot_take_the_cost(tmp_path, corpus):
    loss = {"name": "ot", "config": {"solver": "sliced", "position_weight": 1.0}}
    with pytest.raises(ConfigError, match=r"alignment\[1\]\.config: position_weight must be 0 for sliced .* got 1\.0"):
        preflight(load(tmp_path, corpus, alignment=["ot", loss]))


def test_preflight_names_the_whole_path_of_a_nested_component(tmp_path, corpus):
    ot = {"name": "ot", "config": {"solver": "sliced", "position_weight": 1.0}}
    alignment = [{"name": "mismatched", "config": {"loss": ot}}, "ot"]
    scheduled = {"name": "scheduled", "config": {"strategy": {"name": "retrieval", "config": {"candidates": [9]}}}}
    with pytest.raises(ConfigError, match=r"  alignment\[0\]\.config\.loss\.config: position_weight must be 0"):
        preflight(load(tmp_path, corpus, alignment=alignment))
    with pytest.raises(ConfigError, match=r"  layer_selection\.config\.strategy\.config: candidates: .*no layer 9"):
        preflight(load(tmp_path, corpus, layer_selection=scheduled))


def test_preflight_finds_a_score_that_nothing_computes(tmp_path, corpus):
    with pytest.raises(ConfigError, match=r"evaluation\.score: must be one of nll, loss, bleu, chrf, got 'comet'"):
        preflight(load(tmp_path, corpus, "evaluation.score=comet"))


def test_preflight_finds_a_warmup_that_never_ends(tmp_path, corpus):
    selection = {"name": "retrieval", "config": {"warmup_steps": 8}}
    with pytest.raises(ConfigError, match=r"warmup_steps: must be less than trainer\.max_steps \(8\)"):
        preflight(load(tmp_path, corpus, layer_selection=selection))


@pytest.mark.parametrize(
    "selection",
    [
        {"name": "word_retrieval", "config": {"warmup_steps": 2}},
        {"name": "scheduled", "config": {"strategy": {"name": "word_retrieval", "config": {"warmup_steps": 2}}}},
    ],
)
def test_preflight_finds_a_probe_of_words_without_their_times(tmp_path, corpus, selection):
    preflight(load(tmp_path, corpus, layer_selection=selection))
    rows = [
        replace(row, audio=str(corpus / row.audio), word_times="") for row in read_manifest(corpus / "dev.tsv").rows
    ]
    write_manifest(tmp_path / "dev.tsv", rows)
    experiment = load(tmp_path, corpus, f"data.dev={tmp_path / 'dev.tsv'}", layer_selection=selection)
    with pytest.raises(
        ConfigError, match=r"layer_selection: compares words by their times, which no row of .*dev\.tsv"
    ):
        preflight(experiment)
    preflight(experiment, with_data=False)
    preflight(load(tmp_path, corpus, f"data.dev={tmp_path / 'dev.tsv'}", layer_selection=selection, alignment=[]))


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ({"name": "constant", "config": {"start_step": 8}}, r"start_step: must be less than trainer.max_steps \(8\)"),
        ("until_plateau", r"alignment\[0\]\.schedule: 'until_plateau' watches validation, .*trainer\.validate_every"),
    ],
)
def test_schedules_that_cannot_work_are_faults(tmp_path, corpus, schedule, message):
    alignment = [{"name": "ot", "schedule": schedule}]
    with pytest.raises(ConfigError, match=message):
        preflight(load(tmp_path, corpus, alignment=alignment))


@pytest.mark.parametrize(
    ("option", "changes"),
    [
        (
            "layer_selection.config.warmup_steps",
            {"layer_selection": {"name": "retrieval", "config": {"warmup_steps": 4}}},
        ),
        (
            "alignment[0].schedule.config.start_step",
            {"alignment": [{"name": "ot", "schedule": {"name": "constant", "config": {"start_step": 4}}}]},
        ),
    ],
)
def test_a_loss_without_its_alignment_is_no_score(tmp_path, corpus, option, changes):
    """The first validation would lack a part of the loss, and would be the best one to the end."""
    overrides = ["trainer.validate_every=4", "evaluation.score=loss"]
    with pytest.raises(ConfigError, match=re.escape(f"{option}: evaluation.score 'loss' lacks this loss")):
        preflight(load(tmp_path, corpus, *overrides, **changes))
    preflight(load(tmp_path, corpus, "trainer.validate_every=6", "evaluation.score=loss", **changes))


def test_intervals_that_do_not_fit_are_a_fault(tmp_path, corpus):
    with pytest.raises(ConfigError, match=r"trainer: validate_every \(5\) must be a multiple of log_every \(2\)"):
        load(tmp_path, corpus, "trainer.validate_every=5")


def test_what_metrics_of_validation_need_is_in_the_dev_set(tmp_path, corpus, clean_registry):
    clean_registry.register("metric", "copied")(Copied)
    clean_registry.register("metric", "heard")(Heard)
    preflight(load(tmp_path, corpus, evaluation={"metrics": ["copied"]}))
    rows = [
        replace(row, audio=str(corpus / row.audio), word_times="") for row in read_manifest(corpus / "dev.tsv").rows
    ]
    rows[1] = replace(rows[1], src_text="")
    write_manifest(tmp_path / "dev.tsv", rows)
    experiment = load(tmp_path, corpus, f"data.dev={tmp_path / 'dev.tsv'}", evaluation={"metrics": ["copied"]})
    with pytest.raises(ConfigError, match=r"copied needs the transcript of each utterance, and 1 of 8 in .*dev\.tsv"):
        preflight(experiment)
    with pytest.raises(ConfigError, match=r"heard needs the audio .*; leave it to `aista evaluate --metric`"):
        preflight(load(tmp_path, corpus, evaluation={"metrics": ["heard"]}))
