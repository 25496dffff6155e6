"""The shipped paper-scale configs: each says how to run it, resolves, and scores with the tokeniser of its language."""

import pytest

from aista.schema import Component
from aista.shipped import find_config, shipped_configs
from aista.tasks.experiment import load_experiment
from aista.tasks.preflight import build_metrics

FILES = [path for path in shipped_configs().values() if path.parent.name == "paper"]
MULTITASK = "covost2_multitask_whisper_qwen"
AISTA = [file for file in FILES if file.stem.startswith("covost2_") and file.stem != MULTITASK]
RIVALS = {
    MULTITASK: "arXiv 2409.19510",
    "contrastive_mustc_de": "arXiv 2412.15712",
    "otreg_covost2_zh": "arXiv 2508.08131",
    "speechmapper_covost2_zh": "arXiv 2601.20417",
}
TOKENIZERS = {"zh": "zh", "ja": "ja-mecab", "de": "13a"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_it_resolves_and_says_how_to_run_it(file):
    first, *_ = file.read_text().splitlines()
    assert first.endswith(f"-m aista train runs/{file.stem.removeprefix('covost2_')} --config {file.stem}")
    experiment = load_experiment(file)
    languages = [part for part in file.stem.split("_") if part in TOKENIZERS]
    for language in languages or TOKENIZERS:
        (bleu,) = build_metrics(experiment, [Component("bleu")], language="" if languages else language)
        assert f"tok:{TOKENIZERS[language]}" in bleu.signature
    assert experiment.sections.evaluation.generation.beam_size == 4
    assert experiment.sections.trainer.mixed_precision == "bfloat16"


@pytest.mark.parametrize("name", RIVALS)
def test_a_rival_names_its_paper_and_what_is_known_of_it(name):
    text = find_config(name).read_text()
    header = " ".join(line.removeprefix("# ") for line in text.splitlines() if line.startswith("#"))
    assert RIVALS[name] in header
    assert "First-hand, from" in header
    assert "aista's choice" in header


def test_every_config_is_of_the_paper_or_of_a_rival():
    assert {file.stem for file in FILES} == {file.stem for file in AISTA} | RIVALS.keys()


def test_rivals_train_what_their_papers_do():
    stage = {}
    for name in ("contrastive_mustc_de", "speechmapper_covost2_zh"):
        experiment = load_experiment(find_config(name))
        assert experiment.task_config.alignment == ()
        stage[name] = experiment.stage(experiment.sections.pretraining[0]).task_config
        assert stage[name].translation_weight == 0
    assert stage["speechmapper_covost2_zh"].layer_selection.config.layers == (0,)
    contrast = stage["contrastive_mustc_de"]
    layers = contrast.layer_selection.config.layers
    assert layers == (0, 5, 10, 15, 20, 25, 32)
    assert contrast.alignment[0].weight == len(layers), "a sum over layers"
    otreg = load_experiment(find_config("otreg_covost2_zh"))
    (term,) = otreg.task_config.alignment
    steps = otreg.sections.trainer.max_steps
    schedule = term.schedule.config
    assert [schedule.factor(step, steps) for step in (1, steps // 2, steps // 2 + 1, steps)] == [0, 0, 1, 1]
    assert otreg.task_config.layer_selection.config.layers == (0,)


def test_one_model_of_several_tasks_and_languages_has_a_prompt_for_each():
    experiment = load_experiment(find_config(MULTITASK))
    data, task = experiment.sections.data, experiment.task_config
    assert data.tasks == ("st", "asr", "cot")
    assert data.target_language == ""
    assert set(task.prompts) == {"asr", "cot"}
    for prompt in (task.prompt, task.prompts["cot"]):
        assert "{tgt_lang:name}" in prompt.user
    assert "{tgt_lang" not in task.prompts["asr"].user
    assert experiment.stage(experiment.sections.pretraining[0]).sections.data.tasks == ("asr",)
    single = load_experiment(find_config("covost2_zh_whisper_qwen"))
    for part in ("encoder", "adapter", "llm", "alignment", "layer_selection"):
        assert getattr(task, part) == getattr(single.task_config, part), "so that the two can be compared"


def test_the_languages_differ_in_nothing_else():
    """A pair of files for each model: with names of the languages exchanged they are the same."""
    assert len(AISTA) == 4
    for model in ("whisper_qwen", "qwen2_audio"):
        zh, ja = (find_config(f"covost2_{code}_{model}").read_text() for code in ("zh", "ja"))
        for one, other in (("Chinese", "Japanese"), ("target_language: zh-CN", "target_language: ja")):
            zh = zh.replace(one, other)
        zh = zh.replace("--target-language zh-CN", "--target-language ja").replace("picks zh", "picks ja-mecab")
        assert zh.replace("2_zh", "2_ja").replace("runs/zh", "runs/ja") == ja
