"""Every encoder that starts from pretrained weights can be built without them and counted."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from transformers import WhisperConfig as HuggingFaceConfig
from transformers import WhisperModel

from aista.engine.cost.meter import FORMULAS, StepMeter
from aista.engine.cost.shapes import Shapes, WithoutNumbers, like_gpu
from aista.modules.encoders.hf_speech import HFSpeechConfig, hf_speech
from aista.modules.encoders.qwen2_audio import Qwen2AudioEncoderConfig, qwen2_audio
from aista.modules.encoders.w2v_bert import W2VBertConfig
from aista.modules.encoders.wav2vec2 import Wav2Vec2Config
from aista.modules.encoders.whisper import WhisperConfig, whisper
from tests.modules.encoders.folders import FBANK_KINDS, KINDS, make_folder
from tests.modules.qwen2_audio import MELS
from tests.modules.qwen2_audio import make_model as make_qwen2_audio

LENGTHS = torch.tensor([800, 797])


def check(expected, config, dim):
    """Output and operations of the skeleton on the meta device are those of the encoder itself."""
    with torch.device("meta"):
        skeleton = config.skeleton(feature_dim=dim)
    shapes, model = Shapes(), nn.Module()
    shapes.convert(skeleton)
    model.encoder = skeleton
    size = (2, 800, dim) if dim else (2, 800)
    audio = shapes.empty(*size)
    meter = StepMeter(model, [audio])
    with meter.measuring(), WithoutNumbers(), like_gpu(True):
        states, lengths = skeleton.train()(audio, LENGTHS)
        torch.autograd.backward(states.float().mean())
    with FlopCounterMode(display=False, custom_mapping=dict(FORMULAS)) as counter:
        real, real_lengths = expected.train()(torch.randn(size), LENGTHS)
        real.mean().backward()
    assert states.shape == real.shape
    assert torch.equal(lengths, real_lengths)
    assert set(meter.operations) == {("encoder", 1)}
    assert sum(meter.operations["encoder", 1]) == counter.get_total_flops()
    assert meter.peak > 0


@pytest.mark.parametrize("kind", KINDS)
def test_hf_speech(tmp_path, kind):
    folder = make_folder(tmp_path / "model", kind)
    config, dim = HFSpeechConfig(path=folder), 160 if kind in FBANK_KINDS else 0
    check(hf_speech(config, feature_dim=dim), config, dim)


def test_whisper(tmp_path):
    sizes = {"d_model": 16, "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 24}
    sizes |= {"decoder_layers": 1, "decoder_attention_heads": 2, "decoder_ffn_dim": 24, "vocab_size": 20}
    special = dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id"), 1)
    folder = tmp_path / "model"
    WhisperModel(HuggingFaceConfig(**sizes, **special, num_mel_bins=6, max_source_positions=50)).save_pretrained(folder)
    config = WhisperConfig(path=folder)
    check(whisper(config, feature_dim=6), config, 6)  # eight windows of 100 frames a row


def test_qwen2_audio(tmp_path):
    make_qwen2_audio().save_pretrained(tmp_path)
    config = Qwen2AudioEncoderConfig(path=tmp_path)
    check(qwen2_audio(config, feature_dim=MELS), config, MELS)


def test_wav2vec2(tmp_path):
    sizes = {"model_dim": 16, "num_layers": 1, "num_heads": 2, "ffn_dim": 24, "conv_dim": 8, "position_groups": 4}
    config = Wav2Vec2Config(**sizes, checkpoint=tmp_path / "gone.pt")
    check(config.skeleton(feature_dim=0), config, 0)


@pytest.mark.parametrize("positions", ["shaw", "relative"])
def test_w2v_bert(tmp_path, positions):
    sizes = {"model_dim": 16, "num_layers": 1, "num_heads": 2, "ffn_dim": 24, "positions": positions}
    config = W2VBertConfig(**sizes, checkpoint=tmp_path / "gone.pt")
    check(config.skeleton(feature_dim=160), config, 160)
