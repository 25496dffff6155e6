"""A whole Qwen2-Audio trained with LoRA through the engine, exported, and loaded again without its folder."""

import shutil

import pytest
import torch
from transformers import Qwen2AudioProcessor, WhisperFeatureExtractor

import aista
from aista.data.tokenizers.hugging_face import HuggingFaceConfig, HuggingFaceTokenizer
from aista.engine.checkpoints import find_checkpoint, load_weights
from aista.engine.export.write import export
from aista.engine.training.train import train
from aista.tasks.experiment import load_experiment
from aista.tasks.prompting import ChatPrompt, encode_prompt
from tests.data.tokenizers.test_hugging_face import save as save_tokenizer
from tests.modules.qwen2_audio import MELS, make_model
from tests.tiny import tiny_config, write_config

LORA = {"name": "lora", "config": {"r": 4, "lora_alpha": 8, "lora_dropout": 0.0}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("qwen2_audio")
    make_model(max_source_positions=100).save_pretrained(path)
    return save_tokenizer(path, eos_token="<|end|>", pad_token="<|pad|>")


@pytest.fixture(scope="module")
def run(folder, corpus, tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    config = tiny_config(corpus, trainer={"max_steps": 12, "learning_rate": 1e-2, "log_every": 2})
    part = {"name": "qwen2_audio", "config": {"path": str(folder)}}
    config |= {"encoder": part | {"tuning": "frozen"}, "adapter": part, "llm": part | {"tuning": LORA}}
    config |= {"tokenizer": {"name": "hugging_face", "config": {"path": str(folder)}}, "prompt": "{speech}"}
    config["data"] |= {"feature": {"name": "whisper_log_mel", "config": {"num_mels": MELS}}}
    train(load_experiment(write_config(out / "config.yaml", config)), out / "run")
    return out / "run"


def test_lora_and_the_adapter_are_trained_alone(run, folder):
    base, trained = make_model(max_source_positions=100).state_dict(), load_weights(find_checkpoint(run))
    moved = {name.split(".")[0] for name in trained if ".lora_B." in name and trained[name].abs().sum() > 0}
    assert moved == {"llm"}
    linear = base["multi_modal_projector.linear.weight"]
    assert not torch.equal(trained["adapter.linear.weight"], linear)
    kept = trained["llm.model.model.layers.0.self_attn.q_proj.base_layer.weight"]
    assert torch.equal(kept, base["language_model.model.layers.0.self_attn.q_proj.weight"])


@pytest.mark.parametrize("kind", ["whole", "merged"])
def test_exports_translate_as_the_run_without_the_models_folder(kind, run, folder, corpus, tmp_path):
    wavs = sorted((corpus / "audio").glob("test*.wav"))
    expected = [*aista.load(run, device="cpu").stream(wavs)]
    assert len(set(expected)) > 1
    out = tmp_path / "out"
    export(run, out, kind=kind)
    hidden = folder.with_name("hidden")
    shutil.move(folder, hidden)
    try:
        assert [*aista.load(out, device="cpu").stream(wavs)] == expected
    finally:
        shutil.move(hidden, folder)


def test_trained_weights_alone_need_the_same_base(run, folder, corpus, tmp_path):
    wavs = sorted((corpus / "audio").glob("test*.wav"))
    export(run, tmp_path / "out", kind="trainable")
    base = {"encoder": folder, "adapter": folder, "llm": folder}
    assert [*aista.load(tmp_path / "out", device="cpu", base=base).stream(wavs)] == [*aista.load(run).stream(wavs)]


def test_the_documented_prompt_is_the_models_own_format(folder, tmp_path):
    text = "Translate the speech into French."
    tokenizer = HuggingFaceTokenizer(HuggingFaceConfig(path=with_template(folder, tmp_path)))
    prompt = ChatPrompt(user="Audio 1: <|audio_bos|>{speech}<|audio_eos|>\n" + text)
    before, after = encode_prompt(prompt, tokenizer).ids
    turns = [{"role": "user", "content": [{"type": "audio", "audio_url": "a.wav"}, {"type": "text", "text": text}]}]
    processor = processor_of(tmp_path)
    whole = processor.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
    start, end = whole.split("<|AUDIO|>")
    assert (list(before), list(after)) == (tokenizer.encode_prompt(start), tokenizer.encode_prompt(end))
    assert whole.startswith("<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\nAudio 1: ")


def with_template(folder, tmp_path):
    """The folder's tokenizer with Qwen2-Audio's special tokens and template."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    names = ["<|im_start|>", "<|im_end|>", "<|audio_bos|>", "<|AUDIO|>", "<|audio_eos|>"]
    tokenizer.add_special_tokens({"additional_special_tokens": names})
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    tokenizer.chat_template = processor_of(tmp_path).chat_template
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    return tmp_path / "tokenizer"


def processor_of(tmp_path):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "tokenizer")
    return Qwen2AudioProcessor(WhisperFeatureExtractor(feature_size=MELS), tokenizer)
