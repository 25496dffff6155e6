"""The ablation file: faults, expansion, and which runs are one training."""

import json

import pytest
import yaml

from aista.config import apply_overrides
from aista.errors import ConfigError, RunError
from aista.hub import _listings as hub_listings
from aista.runs.ablation.plan import MODELS, fingerprint, load_ablation
from aista.tasks.experiment import resolve_experiment
from aista.tasks.speech_translation import SpeechTranslationTask
from tests.tiny import tiny_config

NONE, EXACT = {"alignment": []}, {"alignment": [{"name": "ot", "config": {"solver": "exact"}}]}


@pytest.fixture
def load(tmp_path):
    def load(base_changes=(), **keys):
        base = {**tiny_config(tmp_path / "corpus"), **dict(base_changes)}
        (tmp_path / "base.yaml").write_text(yaml.safe_dump(base))
        (tmp_path / "ablation.yaml").write_text(yaml.safe_dump({"base": "base.yaml", **keys}, sort_keys=False))
        return load_ablation(tmp_path / "ablation.yaml", tmp_path / "out")

    return load


def faults_of(load, base_changes=(), **keys):
    with pytest.raises(ConfigError) as raised:
        load(base_changes, **keys)
    return str(raised.value)


def test_one_at_a_time_is_the_base_and_each_value_alone(load):
    ablation = load(axes={"loss": {"none": NONE, "exact": EXACT}, "lambda": {0.1: {"alignment[0].weight": 0.1}}})
    assert ablation.names == ("base", "loss=none", "loss=exact", "lambda=0.1")
    assert ablation.baseline == "base"
    runs = {run.name: run for run in ablation.runs}
    assert runs["base"].changes == ()
    assert runs["lambda=0.1"].changes == ("alignment[0].weight: 0.5 -> 0.1",)
    assert runs["loss=none"].experiment.task_config.alignment == ()


def test_a_value_replaces_the_whole_node_so_that_no_option_leaks(load):
    run = load(axes={"encoder": {"small": {"encoder": {"name": "conformer", "config": {"model_dim": 8}}}}}).runs[1]
    assert run.experiment.task_config.encoder.config.model_dim == 8
    assert run.experiment.task_config.encoder.config.num_layers != 1  # the base's own option is gone


def test_plugins_of_the_overrides_start_from_the_folder_of_the_file(load, tmp_path):
    (tmp_path / "own.py").write_text(f"# {tmp_path}")
    run, *_ = load(overrides=["plugins=[own.py]"], runs={"a": {}}, baseline="a").runs
    assert run.experiment.sections.plugins == (tmp_path.resolve() / "own.py",)


def test_a_grid_is_the_full_product(load):
    axes = {
        "loss": {"none": NONE, "exact": EXACT},
        "steps": {"2": {"trainer.max_steps": 2}, "4": {"trainer.max_steps": 4}},
    }
    ablation = load(axes=axes, mode="grid", baseline="loss=none,steps=2", seeds=[1, 2])
    assert ablation.names == tuple(f"loss={loss},steps={steps}" for loss in ("none", "exact") for steps in (2, 4))
    assert [run.seed for run in ablation.runs] == [1, 2] * 4
    assert [run.experiment.sections.seed for run in ablation.runs] == [1, 2] * 4
    assert len({run.id for run in ablation.runs}) == 8


def test_equal_configs_are_one_training(load):
    ablation = load(runs={"a": {}, "b": {"alignment[0].weight": 0.5}, "c": {"corpus_note": "x"}}, baseline="a")
    assert len({run.id for run in ablation.runs}) == 1


def test_every_fault_of_the_file_is_listed(load):
    message = faults_of(
        load,
        axes={"empty": {}, "seed": {"one": {"seed": 3}}, "bad": {"x": {"a..b": 1}, "y": {"encoder.name": "nope"}}},
        runs={"base": {}, "z": {"llm": {"name": "transformer_lm", "config": {"model_dim": "wide"}}}},
        seeds=[1, 1, -2],
        baseline="bse",
    )
    for part in (
        "axes.empty: has no values",
        "axes.seed.one.seed: seed cannot differ between runs; list seeds under `seeds`",
        "run 'bad=x': a..b: 'a..b' is not a path",
        "run 'bad=y': encoder.name: unknown encoder 'nope'",
        "runs.base: the axes already make a run of this name",
        "run 'z': llm.config.model_dim: expects a whole number, got 'wide'",
        "seeds: a seed is repeated in [1, 1, -2]",
        "seeds: must be at least 0",
        "baseline: no run is named 'bse'",
    ):
        assert part in message


def test_unknown_keys_a_missing_base_and_no_runs_are_faults(load):
    assert "axis: unknown option" in faults_of(load, axis={})
    assert "base: " in faults_of(load, base="nowhere.yaml", runs={"a": {}})
    assert "the file describes no run" in faults_of(load)
    assert "overrides: " in faults_of(load, overrides=["alignment"], runs={"a": {}})


def test_axes_of_a_grid_may_not_write_the_same_node(load):
    axes = {"loss": {"none": NONE}, "lambda": {"1": {"alignment[0].weight": 1.0}}}
    assert "replaces 'alignment[0].weight', which axis 'loss' replaces too" in faults_of(load, axes=axes, mode="grid")


def test_a_fault_of_many_runs_is_said_once(load):
    bad = {str(i): {"adapter": "nope", "trainer.max_steps": i} for i in (1, 2, 3)}
    message = faults_of(load, axes={"a": bad})
    assert message.count("unknown adapter 'nope'") == 1
    assert "(and in 2 more runs)" in message


PRETRAINED = {
    "pretraining": [{"name": "lm", "task": "text_translation", "part": "llm", "config": {"trainer": {"max_steps": 2}}}]
}


def test_stages_are_shared_unless_a_run_changes_what_they_train(load):
    axes = {"loss": {"none": NONE}, "text": {"shuffled": {"data.shuffle_transcripts": True}}}
    axes["llm"] = {"deep": {"llm": {"name": "transformer_lm", "config": {"model_dim": 16, "num_layers": 3}}}}
    runs = load(PRETRAINED, axes=axes, seeds=[1, 2]).runs
    folders = {run.name: {stage.folder for stage in run.stages} for run in runs}
    assert {run.stages[0].folder for run in runs if run.name != "llm=deep"} == folders["base"]
    assert len(folders["base"] | folders["llm=deep"]) == 2
    assert not any(run.stages[0].experiment.sections.data.shuffle_transcripts for run in runs)
    assert runs[0].experiment.sections.initialize.llm == runs[0].stages[0].folder


def test_arms_by_amounts_by_seeds_share_the_stages(load, tmp_path):
    """Stages that name their own data and losses are trained once for all arms and amounts of speech."""
    alone = {"translation_weight": 0, "mt_weight": 0, "alignment": [{"name": "ctc"}], "layer_selection": "fixed"}
    hear = {
        "name": "hear",
        "task": "speech_translation",
        "part": "adapter",
        "config": alone | {"data": {"train_rows": 0}},
    }
    lm = {"name": "lm", "task": "text_translation", "part": "llm", "config": {"data": {"train_rows": 0}}}
    amounts = {f"{rows} rows": {"data.train_rows": rows} for rows in (5, 10, 20)}
    arms = {"CE": {"alignment": []}, "CE + MT": {"alignment": [], "mt_weight": 1.0}, "AI-STA": {}}
    changes = {"pretraining": [lm, hear]}
    runs = load(
        changes, axes={"speech": amounts, "arm": arms}, mode="grid", seeds=[1, 2], baseline="speech=5 rows,arm=CE"
    )
    assert len({run.id for run in runs.runs}) == 3 * 3 * 2
    folders = {stage.folder for run in runs.runs for stage in run.stages}
    assert sorted(folder.name.split("-")[0] for folder in folders) == ["hear", "lm"]
    lm, hear = runs.runs[0].stages
    assert (lm.starts_from, hear.starts_from) == (frozenset(), {lm.folder})


def test_a_stage_is_another_where_one_before_it_is(load):
    hear = {"name": "hear", "task": "speech_translation", "part": "adapter", "config": {"llm": {"tuning": "frozen"}}}
    base = {"pretraining": [*PRETRAINED["pretraining"], hear]}
    runs = load(base, runs={"a": {}, "b": {"pretraining[0].config.trainer.max_steps": 3}}, baseline="a").runs
    (lm_a, hear_a), (lm_b, hear_b) = (run.stages for run in runs)
    assert len({lm_a.folder, lm_b.folder, hear_a.folder, hear_b.folder}) == 4
    assert hear_b.starts_from == {lm_b.folder}


def test_an_ablation_may_move_to_another_folder(load, tmp_path):
    ids = {run.id for run in load(PRETRAINED, runs={"a": {}}, baseline="a").runs}
    assert ids == {run.id for run in load_ablation(tmp_path / "ablation.yaml", tmp_path / "elsewhere").runs}


def test_the_order_of_keys_and_defaults_that_are_written_out_rename_no_run(tmp_path):
    base = tiny_config(tmp_path / "corpus")
    plain = resolve_experiment(base, base=tmp_path, source="x").to_plain()
    for same in (dict(reversed(base.items())), plain, base | {"seed": 1}):
        assert id_of(same, tmp_path) == id_of(base, tmp_path)
    assert id_of(base | {"seed": 2}, tmp_path) != id_of(base, tmp_path)


def test_what_changes_no_weights_renames_no_run(tmp_path):
    base = tiny_config(tmp_path / "corpus")
    for same in (
        "data.num_workers=2",
        "corpus_note=synthetic",
        "evaluation.batch_size=7",
        "trainer.tracking=[tensorboard]",
    ):
        assert id_of(apply_overrides(base, [same]), tmp_path) == id_of(base, tmp_path)
    for other in ("data.batch_size=2", "evaluation.generation.beam_size=7", "encoder.config.model_dim=24"):
        assert id_of(apply_overrides(base, [other]), tmp_path) != id_of(base, tmp_path)


def id_of(raw, folder):
    return fingerprint(resolve_experiment(raw, base=folder, source="x"))


def test_a_probe_of_too_few_utterances_is_a_fault(load):
    assert load(runs={"a": {}}, baseline="a", probe=4).config.probe == 4
    assert "probe: must be 0 or at least 4 utterances, got 3" in faults_of(load, runs={"a": {}}, baseline="a", probe=3)


def test_an_endless_grid_is_a_fault(load):
    axes = {f"seed{axis}": {str(value): {f"a{axis}": value} for value in range(10)} for axis in range(30)}
    problem = f"axes: a grid has at most 10,000 combinations, got {10**30:,}"
    assert problem in faults_of(load, mode="grid", axes=axes)


SINGLE = {"CE only": NONE, "layer 0": {"layer_selection": {"name": "fixed", "config": {"layers": [0]}}}}


def test_an_early_probe_needs_a_checkpoint_that_the_baseline_keeps(load):
    keys = {"runs": SINGLE, "baseline": "CE only", "early_probe": 2}
    trainer = {"max_steps": 8, "log_every": 2, "checkpoint_every": 2}
    assert "set trainer.checkpoint_every=2" in faults_of(load, **keys)
    assert "not among the 3 newest" in (few := faults_of(load, {"trainer": trainer | {"keep_last": 3}}, **keys))
    assert "set trainer.keep_last=4" in few
    assert "no checkpoint at step 3 of 8" in faults_of(load, {"trainer": trainer}, **keys | {"early_probe": 3})
    ablation = load({"trainer": trainer | {"keep_last": 4}}, **keys)
    assert ablation.config.early_probe_name == "test_early_2"


def test_text_translation_is_asked_only_of_tasks_that_translate_text(load, monkeypatch):
    keys = {"runs": SINGLE, "baseline": "CE only", "from_transcript": True}
    assert load({}, **keys).config.from_transcript
    monkeypatch.setattr(SpeechTranslationTask, "translates_text", False)
    assert "from_transcript: a run of the task speech_translation translates no transcripts" in faults_of(load, **keys)
    assert load({}, **keys | {"from_transcript": False})


def test_the_scored_tasks_are_those_that_all_runs_have(load):
    tasks = {"data.tasks": ["asr", "st"], "prompts": {"asr": "{speech}"}}
    keys = {"runs": {"CE only": {}, "both": tasks}, "baseline": "CE only"}
    assert load({}, **keys).tasks == ("",)
    assert load({}, **keys | {"baseline": "both"}).tasks == ("st",)
    assert load({}, runs={"both": tasks}, baseline="both", tasks=["asr", "st"]).tasks == ("asr", "st")
    assert "tasks: a run has data.tasks [], which lacks asr, st" in faults_of(load, **keys | {"tasks": ["asr", "st"]})
    assert "a run has data.tasks [asr, st], which lacks mt" in faults_of(load, **keys | {"tasks": ["st", "mt"]})


def test_models_on_the_hub_have_one_commit_for_all_runs_and_all_times(load, hub, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    first = hub.add("org/small", tmp_path / "model")
    hub.add("org/large", tmp_path / "model")
    base = {"llm": {"name": "hf_causal_lm", "config": {"path": "org/small"}}}
    axes = {"size": {"large": {"llm.config.path": "org/large"}}, "loss": {"none": NONE}}
    before = load(base, axes=axes)
    paths = {run.name: str(run.experiment.task_config.llm.config.path) for run in before.runs}
    assert paths["base"] == paths["loss=none"] == f"org/small@{first}"
    assert before.commits.keys() == {"org/small", "org/large"}
    assert before.runs[1].changes == (f"llm.config.path: org/small@{first} -> {paths['size=large']}",)

    (tmp_path / "model" / "config.json").write_text('{"moved": true}')
    hub.add("org/small", tmp_path / "model")
    hub_listings.clear()  # as in another process
    assert load(base, axes=axes).runs[0].id != before.runs[0].id
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / MODELS).write_text(json.dumps(before.commits))
    assert [run.id for run in load(base, axes=axes).runs] == [run.id for run in before.runs]
    (tmp_path / "out" / MODELS).write_text("{")
    with pytest.raises(RunError, match=r"models\.json: .*; restore it, or remove it: then the hub is asked again"):
        load(base, axes=axes)
