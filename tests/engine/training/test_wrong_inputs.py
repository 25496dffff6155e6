"""What a user is told who gives a training something that does not fit; no step is taken, nothing is guessed."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
import transformers

from aista.cli.main import main
from aista.data.manifest import read_manifest, write_manifest
from tests.data.tokenizers.test_hugging_face import save as save_tokenizer
from tests.modules.encoders.folders import make_folder
from tests.modules.llms.families import FAMILIES
from tests.tiny import tiny_config, write_config

NAMES = {"hf_causal_lm": "qwen2", "qwen": "native_qwen2", "llama": "native_llama", "qwen2_audio": "qwen2_audio"}


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    """For each LLM a folder of it, with a tokenizer that fits."""
    root = tmp_path_factory.mktemp("bases")
    for llm, name in NAMES.items():
        save_tokenizer(FAMILIES[name].make(root / llm, 300), eos_token="<|end|>", pad_token="<|pad|>")
    return root


def refusal(tmp_path, capsys, options):
    """What `aista train` prints; there must be an error, and no step taken."""
    config = write_config(tmp_path / "config.yaml", options)
    assert main(["train", str(tmp_path / "run"), "--config", str(config)]) in (1, 2)
    assert not list(tmp_path.glob("run/checkpoints/step_*"))
    assert not (tmp_path / "run" / "metrics" / "train.jsonl").exists()
    return " ".join(capsys.readouterr().err.split())


def with_llm(corpus, llm, folder):
    options = tiny_config(corpus, prompt="{speech}")
    options["tokenizer"] = {"name": "hugging_face", "config": {"path": str(folder)}}
    options["llm"] = {"name": llm, "config": {"path": str(folder)}}
    return options


def renamed(folder, corpus, split, column):
    """The split's manifest with its transcripts in a column of another name."""
    header, *lines = (corpus / f"{split}.tsv").read_text().splitlines()
    lines = [line.replace("audio/", f"{corpus}/audio/") for line in lines]
    file = folder / f"{split}.tsv"
    file.write_text("\n".join([header.replace("src_text", column).replace("word_times", "times"), *lines]) + "\n")
    return str(file)


@pytest.mark.parametrize(
    ("column", "remedy"),
    [("transcript", "call the column 'transcript' src_text, or"), ("colour", "fill the column src_text, or")],
)
@pytest.mark.parametrize("changes", [{}, {"alignment": [], "mt_weight": 0.5}])
def test_alignment_without_a_transcript(tmp_path, corpus, capsys, changes, column, remedy):
    options = tiny_config(corpus, **changes)
    options["data"]["train"] = file = renamed(tmp_path, corpus, "train", column)
    printed = refusal(tmp_path, capsys, options)
    assert f"{file}: the config compares speech with its transcript, for which at least 1 row must have one" in printed
    assert f"got 0 of 24; {remedy} set alignment: [] and mt_weight: 0" in printed


def test_a_probe_without_transcripts(tmp_path, corpus, capsys):
    options = tiny_config(corpus, layer_selection={"name": "retrieval", "config": {"warmup_steps": 2}})
    options["data"]["dev"] = file = renamed(tmp_path, corpus, "dev", "Sentence")
    printed = refusal(tmp_path, capsys, options)
    assert f"{file}: the config compares speech" in printed
    assert "at least 2 rows must have one (column src_text), got 0 of 8; call the column 'Sentence' src_text" in printed


def test_words_without_times(tmp_path, corpus, capsys):
    options = tiny_config(corpus, alignment=[{"name": "word_aligned"}])
    rows = [replace(row, word_times="") for row in read_manifest(corpus / "train.tsv").rows]
    manifest = tmp_path / "train.tsv"
    write_manifest(manifest, [replace(row, audio=str(corpus / row.audio)) for row in rows])
    options["data"]["train"] = str(manifest)
    printed = refusal(tmp_path, capsys, options)
    assert f"{manifest}: no row has word times, which an alignment loss needs; fill the column" in printed
    options["data"] |= {"train": str(corpus / "train.tsv"), "shuffle_transcripts": True}
    assert "leave data.shuffle_transcripts off" in refusal(tmp_path, capsys, options)


@pytest.mark.parametrize(
    ("option", "changes"),
    [
        ("alignment", {"alignment": [{"name": "word_aligned"}]}),
        ("layer_selection", {"layer_selection": {"name": "word_retrieval", "config": {"warmup_steps": 2}}}),
    ],
)
def test_words_behind_an_adapter_that_loses_time(tmp_path, corpus, capsys, option, changes):
    stages = [{"name": "lm", "task": "text_translation", "part": "llm"}]
    for adapter in ({"name": "cif"}, {"name": "qformer", "config": {"num_heads": 2}}):
        options = tiny_config(corpus, adapter=adapter, pretraining=stages, **changes)
        printed = refusal(tmp_path, capsys, options)
        assert f"positions of '{adapter['name']}' are not even in time, but {option} compares words" in printed
        assert not list(tmp_path.glob("run/pretraining/*"))
    assert main(["train", str(tmp_path / "run"), "--config", str(tmp_path / "config.yaml"), "--dry-run"]) == 2
    assert f"are not even in time, but {option} compares" in " ".join(capsys.readouterr().err.split())


def test_a_missing_file(tmp_path, corpus, capsys):
    options = tiny_config(corpus)
    options["data"]["train"] = str(tmp_path / "gone.tsv")
    printed = refusal(tmp_path, capsys, options)
    assert (
        f"data.train: no such file: '{tmp_path}/gone.tsv'; prepare it with `aista data` or correct the path" in printed
    )


@pytest.mark.parametrize("llm", NAMES)
def test_a_missing_folder(tmp_path, corpus, capsys, bases, llm):
    options = with_llm(corpus, llm, bases / llm)
    options["llm"]["config"]["path"] = str(tmp_path / "gone")
    printed = refusal(tmp_path, capsys, options)
    assert "llm.config: path" in printed
    assert "is not the folder of a Hugging Face model" in printed


@pytest.mark.parametrize("llm", NAMES)
def test_another_architecture(tmp_path, corpus, capsys, bases, llm):
    options, folder = with_llm(corpus, llm, bases / llm), tmp_path / "bert"
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    transformers.BertForMaskedLM(transformers.BertConfig(vocab_size=300, **sizes)).save_pretrained(folder)
    options["llm"]["config"]["path"] = str(folder)
    printed = refusal(tmp_path, capsys, options)
    assert "holds BertForMaskedLM, not a causal" in printed or "holds a model of type 'bert', not '" in printed


@pytest.mark.parametrize("llm", NAMES)
def test_a_pickle(tmp_path, corpus, capsys, bases, llm):
    folder = shutil.copytree(bases / llm, tmp_path / "pickled", ignore=shutil.ignore_patterns("*.safetensors"))
    torch.save({}, folder / "pytorch_model.bin")
    printed = refusal(tmp_path, capsys, with_llm(corpus, llm, folder))
    assert "pytorch_model.bin" in printed
    assert "can run code" in printed
    assert "safetensors" in printed


@pytest.mark.parametrize("llm", NAMES)
def test_a_tokenizer_larger_than_the_embedding(tmp_path, corpus, capsys, bases, llm):
    options = with_llm(corpus, llm, bases / llm)
    small = FAMILIES[NAMES[llm]].make(tmp_path / "small", 120)
    options["llm"]["config"]["path"] = str(small)
    printed = refusal(tmp_path, capsys, options)
    assert "has 120 tokens, fewer than the tokenizer's" in printed
    assert "use the tokenizer of this model" in printed


def test_an_encoder_at_another_sampling_rate(tmp_path, corpus, capsys):
    folder = make_folder(tmp_path / "model", "wav2vec2-base", sampling_rate=8000)
    options = tiny_config(corpus)
    options["encoder"] = {"name": "hf_speech", "config": {"path": str(folder)}}
    options["data"]["feature"] = {"name": "waveform"}
    printed = refusal(tmp_path, capsys, options)
    assert (
        "data.feature: the encoder was trained on normalized waveform at 8000 Hz, got normalized waveform at 16000 Hz; "
        "set data.feature: {name: waveform, config: {normalize: true, sample_rate: 8000}}" in printed
    )


def test_settings_say_what_the_folder_is(bases):
    """The folders above are what their names say: the refusals are about what was changed."""
    types = {llm: json.loads((bases / llm / "config.json").read_text())["model_type"] for llm in NAMES}
    assert types == {"hf_causal_lm": "qwen2", "qwen": "qwen2", "llama": "llama", "qwen2_audio": "qwen2_audio"}
