"""Checkpoints of fairseq and fairseq2, against transformers' model with the same weights."""

import argparse
import re

import pytest
import safetensors.torch
import torch
from torch.testing import assert_close

from aista.modules.encoders.wav2vec2 import Wav2Vec2Encoder
from tests.modules.checks import padded

from .folders import make_model
from .test_wav2vec2 import TINY, build

BASE = {"conv_norm": "group", "norm_order": "post", "num_layers": 3}
LARGE = {"conv_norm": "layer", "norm_order": "pre", "conv_bias": True, "num_layers": 3}
OPTIONS = {"wav2vec2-base": BASE, "wav2vec2-large": LARGE}

# Hugging Face's names -> fairseq's, as in the script that converted the published models.
NAMES = {
    r"feature_extractor\.conv_layers\.(\d+)\.conv\.": r"feature_extractor.conv_layers.\1.0.",
    r"feature_projection\.layer_norm\.": "layer_norm.",
    r"feature_projection\.projection\.": "post_extract_proj.",
    r"encoder\.pos_conv_embed\.conv\.parametrizations\.weight\.original0": "encoder.pos_conv.0.weight_g",
    r"encoder\.pos_conv_embed\.conv\.parametrizations\.weight\.original1": "encoder.pos_conv.0.weight_v",
    r"encoder\.pos_conv_embed\.conv\.bias": "encoder.pos_conv.0.bias",
    r"encoder\.layers\.(\d+)\.attention\.": r"encoder.layers.\1.self_attn.",
    r"encoder\.layers\.(\d+)\.layer_norm\.": r"encoder.layers.\1.self_attn_layer_norm.",
    r"encoder\.layers\.(\d+)\.feed_forward\.intermediate_dense\.": r"encoder.layers.\1.fc1.",
    r"encoder\.layers\.(\d+)\.feed_forward\.output_dense\.": r"encoder.layers.\1.fc2.",
    r"masked_spec_embed": "mask_emb",
}


def fairseq_weights(model, kind):
    norm = r"feature_extractor.conv_layers.\1.2." + ("" if kind == "wav2vec2-base" else "1.")
    names = NAMES | {r"feature_extractor\.conv_layers\.(\d+)\.layer_norm\.": norm}

    def rename(name):
        for pattern, replacement in names.items():
            name = re.sub(f"^{pattern}", replacement, name)
        return name

    return {rename(name): tensor for name, tensor in model.state_dict().items()} | {"quantizer.vars": torch.ones(3)}


@pytest.mark.parametrize("kind", OPTIONS)
@pytest.mark.parametrize("prefix", ["", "w2v_encoder.w2v_model."])
def test_fairseq_weights_give_the_states_of_transformers(kind, prefix, tmp_path):
    model = make_model(kind)
    weights = {prefix + name: tensor for name, tensor in fairseq_weights(model, kind).items()}
    file = tmp_path / "model.pt"
    torch.save({"args": argparse.Namespace(arch="wav2vec2"), "cfg": {"task": None}, "model": weights}, file)
    encoder = build(**OPTIONS[kind], checkpoint=file).eval()
    audio, lengths = padded([333, 100, 57])
    with torch.no_grad():
        states, state_lengths = encoder(audio, lengths)
        for row, (length, size) in enumerate(zip(lengths.tolist(), state_lengths.tolist(), strict=True)):
            expected = model(audio[row : row + 1, :length]).last_hidden_state[0]
            assert_close(states[row, :size], expected, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("kind", OPTIONS)
@pytest.mark.parametrize("layer", [0, 1, 3, "weighted"])
def test_layers_are_numbered_as_in_transformers(kind, layer, tmp_path):
    model = make_model(kind)
    safetensors.torch.save_file(fairseq_weights(model, kind), tmp_path / "model.safetensors")
    encoder = build(**OPTIONS[kind], layers=layer, checkpoint=tmp_path / "model.safetensors").eval()
    audio, lengths = padded([200])
    hidden = model(audio, output_hidden_states=True).hidden_states
    expected = torch.stack(hidden).mean(dim=0) if layer == "weighted" else hidden[layer]
    assert_close(encoder(audio, lengths)[0], expected, rtol=1e-4, atol=2e-5)
    assert all(name.startswith(("mix.", "frontend.", "stack.")) for name, _ in encoder.named_parameters())


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("wrap", ["plain", "model", "module"])
def test_fairseq2_weights_come_back(options, wrap, tmp_path):
    first = build(**options).eval()
    names = {"frontend.": "encoder_frontend.", "stack.": "encoder."}
    weights = {}
    for name, tensor in first.state_dict().items():
        old = next(old for old in names if name.startswith(old))
        weights[("module." if wrap == "module" else "") + names[old] + name.removeprefix(old)] = tensor
    torch.save(
        weights if wrap == "plain" else {"model": weights | {"final_proj.weight": torch.ones(2, 2)}},
        tmp_path / "model.pt",
    )
    torch.manual_seed(5)
    config = type(TINY)(**(vars(TINY) | options | {"checkpoint": tmp_path / "model.pt"}))
    again = Wav2Vec2Encoder(config, feature_dim=0).eval()
    audio = padded([203, 60])
    assert torch.equal(again(*audio)[0], first(*audio)[0])


def test_options_that_do_not_describe_the_checkpoint_are_refused(tmp_path):
    file = tmp_path / "model.pt"
    torch.save({"model": fairseq_weights(make_model("wav2vec2-base"), "wav2vec2-base")}, file)

    def fails(message, **options):
        with pytest.raises(ValueError, match=message):
            build(**(BASE | options | {"checkpoint": file}))

    fails(
        r"does not fit the options: 16 tensors are missing, e.g. stack.layers.3.*set model_dim, num_layers",
        num_layers=4,
    )
    fails(r"have no place in the encoder, e.g. stack.layers.2", num_layers=2)
    fails(r"have another shape, e.g. .*ffn.inner_proj.weight \[24, 16\], not \[28, 16\]", ffn_dim=28)
    fails(r"tensors are missing, e.g. frontend.feature_extractor.layers.0.layer_norm.bias", conv_norm="layer")
    fails(r"have no place in the encoder, e.g. stack.layer_norm|tensors are missing", norm_order="pre", conv_bias=True)


class Harmful:
    def __reduce__(self):
        return print, ("code of the file runs",)


def test_code_in_a_checkpoint_never_runs(tmp_path, capsys):
    file = tmp_path / "model.pt"
    torch.save({"model": {}, "cfg": Harmful()}, file)
    with pytest.raises(ValueError, match=r"holds Python objects beside tensors, and loading these could run code"):
        build(checkpoint=file)
    assert "code of the file runs" not in capsys.readouterr().out
    with pytest.raises(ValueError, match=r"checkpoint: no such file: .*nowhere.pt"):
        build(checkpoint=tmp_path / "nowhere.pt")
    file.write_bytes(b"")
    with pytest.raises(ValueError, match=r"is damaged"):
        build(checkpoint=file)
    torch.save([1, 2], file)
    with pytest.raises(ValueError, match=r"must hold a mapping of names to tensors, got list"):
        build(checkpoint=file)


def test_a_damaged_checkpoint_is_one_message(tmp_path):
    """What torch's reader raises depends on the byte: UnicodeDecodeError, KeyError, IndexError ..."""
    file = tmp_path / "model.pt"
    torch.save({"model": {"encoder.a": torch.zeros(4, 4), "b": torch.ones(3)}}, file)
    content = file.read_bytes()
    for place in range(0, len(content), 23):
        file.write_bytes(content[:place] + bytes([content[place] ^ 0x80]) + content[place + 1 :])
        with pytest.raises(ValueError, match=r"checkpoint: .*model\.pt (is damaged|does not fit|must hold)"):
            build(checkpoint=file)
