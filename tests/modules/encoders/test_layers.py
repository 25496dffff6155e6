"""The blocks that an encoder shows are those it runs, so that they can be wrapped in place."""

import pytest
import torch
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper
from torch.testing import assert_close

from aista.modules.encoders.conformer import ConformerEncoder
from aista.modules.encoders.hf_speech import HFSpeechConfig, hf_speech
from aista.modules.encoders.w2v_bert import W2VBertEncoder
from aista.modules.encoders.wav2vec2 import Wav2Vec2Encoder
from aista.modules.encoders.whisper import WhisperConfig, whisper
from tests.modules.checks import padded

from . import test_conformer, test_w2v_bert, test_wav2vec2
from .folders import make_folder
from .test_whisper import folder, reference  # noqa: F401 - fixtures


@pytest.mark.parametrize("name", ["conformer", "hf_speech", "w2v_bert", "wav2vec2", "whisper"])
def test_activation_checkpointing_keeps_the_gradients(name, request):
    torch.manual_seed(0)
    if name == "conformer":
        encoder, x = ConformerEncoder(test_conformer.TINY, feature_dim=6), padded([20, 9], 6)
    elif name == "hf_speech":
        path = make_folder(request.getfixturevalue("tmp_path"), "wavlm-base")
        encoder, x = hf_speech(HFSpeechConfig(path=path), feature_dim=0), padded([200, 90])
    elif name == "w2v_bert":
        encoder, x = W2VBertEncoder(test_w2v_bert.TINY, feature_dim=160), padded([20, 9], 160)
    elif name == "wav2vec2":
        encoder, x = Wav2Vec2Encoder(test_wav2vec2.TINY, feature_dim=0), padded([200, 90])
    else:
        encoder, x = whisper(WhisperConfig(path=request.getfixturevalue("folder")), feature_dim=6), padded([20, 9], 6)
    gradients = []
    for _ in range(2):
        encoder.eval().zero_grad()
        encoder(*x)[0].pow(3).sum().backward()
        gradients.append([parameter.grad.clone() for parameter in encoder.parameters()])
        for index, block in enumerate(encoder.layers):
            encoder.layers[index] = checkpoint_wrapper(block)
    assert "_checkpoint_wrapped_module" in "".join(name for name, _ in encoder.named_parameters())
    assert_close(gradients[1], gradients[0])
