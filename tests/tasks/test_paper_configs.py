"""The shipped paper-scale configs: each says how to run it, resolves, and scores with the tokeniser of its language."""

import pytest

from aista.shipped import find_config, shipped_configs
from aista.tasks.experiment import load_experiment
from aista.tasks.preflight import build_metrics

FILES = [path for path in shipped_configs().values() if path.parent.name == "paper"]
TOKENIZERS = {"zh": "zh", "ja": "ja-mecab"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_it_resolves_and_says_how_to_run_it(file):
    first, *_ = file.read_text().splitlines()
    assert first.endswith(f"-m aista train runs/{file.stem.removeprefix('covost2_')} --config {file.stem}")
    experiment = load_experiment(file)
    bleu, _ = build_metrics(experiment)
    language = file.stem.split("_")[1]
    assert f"tok:{TOKENIZERS[language]}" in bleu.signature
    assert experiment.sections.evaluation.generation.beam_size == 4
    assert experiment.sections.trainer.mixed_precision == "bfloat16"


def test_the_languages_differ_in_nothing_else():
    """A pair of files for each model: with names of the languages exchanged they are the same."""
    assert len(FILES) == 4
    for model in ("whisper_qwen", "qwen2_audio"):
        zh, ja = (find_config(f"covost2_{code}_{model}").read_text() for code in ("zh", "ja"))
        for one, other in (("Chinese", "Japanese"), ("target_language: zh-CN", "target_language: ja")):
            zh = zh.replace(one, other)
        zh = zh.replace("target=zh-CN", "target=ja").replace("picks zh", "picks ja-mecab")
        assert zh.replace("2_zh", "2_ja").replace("runs/zh", "runs/ja") == ja
