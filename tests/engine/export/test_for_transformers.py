"""Runs of Qwen2-Audio's parts as one model that transformers alone loads, with equal outputs."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import torch
from transformers import AutoTokenizer, Qwen2AudioProcessor, WhisperFeatureExtractor

import aista
from aista.cli.main import main
from aista.engine.export.write import export
from aista.engine.inference.trained_run import open_run
from aista.engine.training.train import train
from aista.errors import RunError
from aista.tasks.experiment import load_experiment
from tests.data.tokenizers.test_hugging_face import save as save_tokenizer
from tests.modules.qwen2_audio import MELS, make_model
from tests.tiny import make_corpus, tiny_config, write_config

LORA = {"name": "lora", "config": {"r": 4, "lora_alpha": 8, "lora_dropout": 0.0}}
SPEECH = "Audio 1: <|audio_bos|>{speech}<|audio_eos|>\nTranslate."
POSITIONS, SECONDS = 100, 2

ALONE = """
import json
import sys
import soundfile
from transformers import AutoProcessor, Qwen2AudioForConditionalGeneration

folder, prompt, *files = sys.argv[1:]
model = Qwen2AudioForConditionalGeneration.from_pretrained(folder, dtype="auto")
processor = AutoProcessor.from_pretrained(folder)
for file in files:
    audio, rate = soundfile.read(file)
    inputs = processor(text=prompt, audio=audio, sampling_rate=rate, return_tensors="pt")
    assert model.generation_config.max_new_tokens == 20
    ids = model.generate(**inputs, max_new_tokens=19)  # aista's limit counts the end, which it always writes
    ids = ids[:, inputs["input_ids"].size(1) :]
    print(json.dumps(processor.batch_decode(ids, skip_special_tokens=True)[0]))
assert not any(name.startswith("aista") for name in sys.modules)
"""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return make_corpus(tmp_path_factory.mktemp("tones") / "corpus")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A random Qwen2-Audio with its processor, whose clips last two seconds in place of thirty."""
    path = save_tokenizer(tmp_path_factory.mktemp("qwen2_audio") / "model", eos_token="<|end|>", pad_token="<|pad|>")
    tokenizer = AutoTokenizer.from_pretrained(path, model_input_names=["input_ids", "attention_mask"])  # as Qwen's
    names = ["<|AUDIO|>", "<|audio_bos|>", "<|audio_eos|>", "<|im_start|>", "<|im_end|>"]
    tokenizer.add_special_tokens({"additional_special_tokens": names})
    extractor = WhisperFeatureExtractor(feature_size=MELS, chunk_length=SECONDS)
    processor = Qwen2AudioProcessor(extractor, tokenizer)
    tokenizer.chat_template = processor.chat_template
    processor.save_pretrained(path)
    tokenizer.save_pretrained(path)
    model = make_model(max_source_positions=POSITIONS, vocab_size=len(tokenizer) + 3, eos_token_id=0, pad_token_id=1)
    model.config.audio_token_index = tokenizer.convert_tokens_to_ids("<|AUDIO|>")
    model.save_pretrained(path)
    return path


def trained(folder, corpus, out, **changes):
    config = tiny_config(corpus, trainer={"max_steps": 6, "learning_rate": 1e-2, "log_every": 2})
    part = {"name": "qwen2_audio", "config": {"path": str(folder)}}
    config |= {"encoder": part | {"tuning": "frozen"}, "adapter": part, "llm": part | {"tuning": LORA}}
    config |= {"tokenizer": {"name": "hugging_face", "config": {"path": str(folder)}}, "prompt": {"user": SPEECH}}
    config["data"] |= {"feature": {"name": "whisper_log_mel", "config": {"num_mels": MELS}}}
    config["evaluation"] = {"generation": {"beam_size": 1, "max_new_tokens": 20}, "metrics": [{"name": "bleu"}]}
    train(load_experiment(write_config(out / "config.yaml", config | changes)), out / "run")
    return out / "run"


@pytest.fixture(scope="module")
def run(folder, corpus, tmp_path_factory):
    return trained(folder, corpus, tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Of full length: transformers pads others with silence that its convolutions see."""
    generator, path = np.random.default_rng(0), tmp_path_factory.mktemp("clips")
    time = np.arange(16_000 * SECONDS) / 16_000
    for index in range(6):
        tones = [np.sin(2 * np.pi * 150 * (1 + 3 * index) * time), generator.standard_normal(time.shape)]
        soundfile.write(path / f"{index}.wav", 0.4 * tones[0] + 0.01 * index**2 * tones[1], 16_000)
    return sorted(path.glob("*.wav"))


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    out = tmp_path_factory.mktemp("exported") / "out"
    assert main(["export", str(run), str(out), "--transformers", "--shard-gb", "0.001"]) == 0
    return out


def test_transformers_alone_translates_as_the_run(run, exported, folder, clips, tmp_path):
    expected = [item.text for item in aista.load(run, device="cpu").stream(clips)]
    assert len(set(expected)) > 1
    moved = tmp_path / "moved"
    shutil.copytree(exported, moved)
    card = (exported / "README.md").read_text()
    prompt = eval(next(line for line in card.splitlines() if line.startswith("prompt = ")).removeprefix("prompt = "))
    assert prompt.count("<|AUDIO|>") == 1
    assert prompt.startswith("<|im_start|>system\n")
    command = [sys.executable, "-c", ALONE, str(moved), prompt, *map(str, clips)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env={"HF_HUB_OFFLINE": "1"})
    assert [json.loads(line) for line in result.stdout.splitlines()] == expected, result.stderr
    assert "not valid" not in result.stderr
    assert "were not initialized" not in result.stderr
    assert "library_name: transformers" in card


def test_logits_are_those_of_the_run(run, exported, clips):
    from transformers import Qwen2AudioForConditionalGeneration

    model, report = Qwen2AudioForConditionalGeneration.from_pretrained(exported, output_loading_info=True)
    assert {key: found for key, found in report.items() if found} == {}
    opened = open_run(run, device="cpu")
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        ours, _ = opened.model.llm(opened.model.llm.embed(ids), torch.tensor([4]))
        expected = opened.model.llm.project(ours)
        torch.testing.assert_close(model.language_model(ids).logits, expected, rtol=1e-4, atol=1e-5)
    plain = make_model(max_source_positions=POSITIONS, vocab_size=model.config.text_config.vocab_size)
    weight = "language_model.model.layers.0.self_attn.q_proj.weight"
    assert not torch.equal(model.state_dict()[weight], plain.state_dict()[weight])


def test_the_folder_is_a_base_to_train_further(exported, corpus, tmp_path):
    llm = {"name": "qwen2_audio", "config": {"path": str(exported)}, "tuning": "frozen"}
    assert open_run(trained(exported, corpus, tmp_path, llm=llm)).checkpoint.step == 6


def test_aista_says_that_it_is_for_transformers(exported, run, tmp_path):
    with pytest.raises(RunError, match="was exported for transformers; to open it with aista export the run without"):
        open_run(exported)
    export(run, exported, kind="transformers")
    with pytest.raises(RunError, match="exists and is not this export of that run"):
        export(run, exported)


def test_what_cannot_be_one_model_is_refused(run, folder, corpus, native, tmp_path):
    with pytest.raises(RunError, match=r"adapter and llm are qwen2_audio alone \(encoder is conformer, "):
        export(native, tmp_path / "out", kind="transformers")
    bare = trained(folder, corpus, tmp_path, prompt="{speech}")
    with pytest.raises(RunError, match=r"processor writes <\|audio_bos\|> and <\|audio_eos\|> around the speech"):
        export(bare, tmp_path / "out", kind="transformers")
    file = run / "assets" / "encoder" / "preprocessor_config.json"
    hidden, record = file.with_suffix(".hidden"), run / "assets" / "assets.json"
    written = record.read_text()
    data = json.loads(written)
    data["sha256"] = {}
    del data["checksum"]
    record.write_text(json.dumps(data))
    file.rename(hidden)
    try:
        with pytest.raises(RunError, match=r"came without preprocessor_config\.json.*; copy the published one to"):
            export(run, tmp_path / "out", kind="transformers")
    finally:
        hidden.rename(file)
        record.write_text(written)
    assert not (tmp_path / "out").exists()
