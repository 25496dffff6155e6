"""A skeleton is the encoder of its config files alone: with the weights filled in, nothing tells it from the other."""

import shutil

import pytest
import torch
from transformers import WhisperModel

from aista.modules.encoders.hf_speech import HFSpeechConfig, hf_speech
from aista.modules.encoders.w2v_bert import W2VBertConfig
from aista.modules.encoders.wav2vec2 import Wav2Vec2Config
from aista.modules.encoders.whisper import WhisperConfig, whisper
from tests.modules.encoders.folders import FBANK_KINDS, KINDS, make_folder
from tests.modules.encoders.test_whisper import tiny_config


def without_weights(folder, to):
    shutil.copytree(folder, to, ignore=shutil.ignore_patterns("*.safetensors"))
    return to


def check_same(expected, skeleton, audio, lengths):
    skeleton.load_state_dict(expected.state_dict())
    for one, other in zip(expected.eval()(audio, lengths), skeleton.eval()(audio, lengths), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("layers", ["weighted", 2])
@pytest.mark.parametrize("kind", KINDS)
def test_hf_speech(tmp_path, kind, layers):
    folder = make_folder(tmp_path / "model", kind)
    dim = 160 if kind in FBANK_KINDS else 0
    audio = torch.randn(2, 20, dim) if dim else torch.randn(2, 400)
    expected = hf_speech(HFSpeechConfig(path=folder, layers=layers), feature_dim=dim)
    config = HFSpeechConfig(path=without_weights(folder, tmp_path / "bare"), layers=layers)
    check_same(expected, config.skeleton(feature_dim=dim), audio, torch.tensor([audio.size(1), audio.size(1) - 3]))
    with pytest.raises(ValueError, match="holds no weights"):
        hf_speech(config, feature_dim=dim)


def test_whisper(tmp_path):
    WhisperModel(tiny_config()).save_pretrained(tmp_path / "model")
    expected = whisper(WhisperConfig(path=tmp_path / "model"), feature_dim=6)
    bare = without_weights(tmp_path / "model", tmp_path / "bare")
    skeleton = WhisperConfig(path=bare).skeleton(feature_dim=6)
    check_same(expected, skeleton, torch.randn(2, 20, 6), torch.tensor([20, 13]))


def test_wav2vec2_reads_no_checkpoint(tmp_path):
    sizes = {"model_dim": 16, "num_layers": 1, "num_heads": 2, "ffn_dim": 24, "conv_dim": 8, "position_groups": 4}
    config = Wav2Vec2Config(**sizes, checkpoint=tmp_path / "gone.pt")
    assert config.skeleton(feature_dim=0).output_dim == 16


def test_w2v_bert_reads_no_checkpoint(tmp_path):
    sizes = {"model_dim": 16, "num_layers": 1, "num_heads": 2, "ffn_dim": 24}
    config = W2VBertConfig(**sizes, checkpoint=tmp_path / "gone.pt")
    assert config.skeleton(feature_dim=160).output_dim == 16
