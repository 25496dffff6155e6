"""w2v-BERT of fairseq2's parts, against transformers' models and fairseq2's own with the same weights."""

import dataclasses
import re

import pytest
import safetensors.torch
import torch
import transformers
from fairseq2.models.w2vbert import W2VBertConfig as FairseqConfig
from fairseq2.models.w2vbert import create_w2vbert_model
from fairseq2.nn import BatchLayout
from torch import nn
from torch.testing import assert_close
from transformers.models.seamless_m4t import modeling_seamless_m4t as seamless

from aista import registry
from aista.errors import ConfigError, DataError
from aista.modules.encoders.base import SpeechEncoder
from aista.modules.encoders.w2v_bert import W2VBertConfig, W2VBertEncoder
from aista.schema import Component, structure
from aista.testing.contracts import run
from tests.modules.checks import check_follows_weight_dtype, check_padding, check_rows_are_independent, padded

from .folders import make_model, roughen

SIZE = {"model_dim": 16, "num_layers": 3, "num_heads": 2, "ffn_dim": 24, "kernel_size": 5, "max_frames": 60}
TINY = W2VBertConfig(**SIZE, max_left=4, max_right=2)
FIRST = {"positions": "relative", "causal_conv": False, "conv_norm": "batch"}
LENGTHS = [23, 9, 14]

# transformers' names -> those of fairseq, of which both conversion scripts start
NAMES = {
    r"feature_projection\.layer_norm\.": "layer_norm.",
    r"feature_projection\.projection\.": "post_extract_proj.",
    r"(.*)\.ffn(1|2)_layer_norm\.": r"\1.ffn\2.layer_norm.",
    r"(.*)\.intermediate_dense\.": r"\1.w_1.",
    r"(.*)\.output_dense\.": r"\1.w_2.",
    r"(.*)\.distance_embedding\.": r"\1.rel_k_embedding.",
    r"(.*)\.depthwise_layer_norm\.": r"\1.layer_norm2.",
}


def build(**changes: object) -> SpeechEncoder:
    torch.manual_seed(0)
    encoder = W2VBertEncoder(dataclasses.replace(TINY, **changes), feature_dim=160)
    with torch.no_grad():  # away from zeros and ones, which hide faults
        for parameter in encoder.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return encoder


def fairseq_names(weights, *, prefix="", linear=True):
    def rename(name):
        for pattern, replacement in NAMES.items():
            name = re.sub(f"^{pattern}", replacement, name)
        if not linear:  # the attention of w2v-BERT 2.0 is fairseq's own, not ESPnet's
            name = re.sub(r"\.linear_(q|k|v)\.", r".\1_proj.", name).replace(".linear_out.", ".out_proj.")
        return prefix + name

    heads = {"mask_emb": torch.ones(3), "quantizer.vars": torch.ones(3), "mlm_proj.weight": torch.ones(2, 2)}
    return {rename(name): tensor for name, tensor in (weights | heads).items()}


def check_rows(encoder, expected, layer=-1):
    """The encoder's states of a padded batch are those that ``expected`` gives for each row alone."""
    audio, lengths = padded(LENGTHS, 160)
    with torch.no_grad():
        states, state_lengths = encoder(audio, lengths)
        assert state_lengths.tolist() == encoder.output_lengths(lengths).tolist() == LENGTHS
        for row, length in enumerate(LENGTHS):
            assert_close(states[row, :length], expected(audio[row : row + 1, :length])[layer][0], rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("prefix", ["", "w2v_encoder.w2v_model."])
@pytest.mark.parametrize("layer", [0, 1, 3])
def test_version_2_gives_the_states_of_transformers(layer, prefix, tmp_path):
    model = make_model("w2v-bert")
    weights = fairseq_names(model.state_dict(), prefix=prefix, linear=False)
    torch.save({"model": weights}, tmp_path / "conformer_shaw.pt")
    config = W2VBertConfig(**SIZE, layers=layer, checkpoint=tmp_path / "conformer_shaw.pt")
    encoder = W2VBertEncoder(config, feature_dim=160).eval()
    check_rows(encoder, lambda x: model(x, output_hidden_states=True).hidden_states, layer)
    assert len(encoder.layers) == layer
    assert encoder.expected_input is not None
    assert encoder.expected_input.content == "seamless_fbank"


def test_relative_positions_are_those_of_transformers(tmp_path):
    model = make_model("w2v-bert-relative")
    safetensors.torch.save_file(fairseq_names(model.state_dict()), tmp_path / "model.safetensors")
    config = W2VBertConfig(**SIZE, positions="relative", checkpoint=tmp_path / "model.safetensors")
    check_rows(W2VBertEncoder(config, feature_dim=160).eval(), lambda x: [model(x).last_hidden_state])


def seamless_m4t() -> nn.Module:
    """Projection and conformer of SeamlessM4T's first version, without the norm of the adaptor behind them."""
    sizes = {"hidden_size": 16, "speech_encoder_layers": 3, "speech_encoder_attention_heads": 2}
    sizes |= {"speech_encoder_intermediate_size": 24, "feature_projection_input_dim": 160}
    config = transformers.SeamlessM4TConfig(**sizes, conv_depthwise_kernel_size=5, max_source_positions=60)
    torch.manual_seed(0)
    model = nn.Module()
    model.feature_projection = seamless.SeamlessM4TConformerFeatureProjection(config)
    model.encoder = seamless.SeamlessM4TConformerEncoder(config)
    model.encoder.layer_norm = nn.Identity()
    return roughen(model).eval()


@pytest.mark.parametrize("training", [False, True])
def test_the_first_version_gives_the_states_of_seamless_m4t(training, tmp_path):
    """Its statistics are those of the checkpoint in training too."""
    model = seamless_m4t()
    weights = fairseq_names(model.state_dict()) | {"encoder.layer_norm.weight": torch.ones(16)}
    torch.save({"model": weights}, tmp_path / "model.pt")
    config = W2VBertConfig(**SIZE, **FIRST, checkpoint=tmp_path / "model.pt")
    encoder = W2VBertEncoder(config, feature_dim=160).train(training)
    check_rows(encoder, lambda x: [model.encoder(model.feature_projection(x)).last_hidden_state])


def fairseq2_model():
    config = FairseqConfig(num_bert_encoder_layers=2)
    sizes = {"model_dim": 16, "num_encoder_layers": 3, "num_encoder_attn_heads": 2, "ffn_inner_dim": 24}
    for name, value in (sizes | {"depthwise_conv_kernel_size": 5, "max_seq_len": 60}).items():
        setattr(config.w2v2_config.encoder_config, name, value)
    for name in ("final_dim", "quantized_dim", "num_codebook_entries"):
        setattr(config.w2v2_config, name, 8)
    torch.manual_seed(0)
    return create_w2vbert_model(config).eval()


@pytest.mark.parametrize("wrap", ["plain", "model", "module"])
def test_fairseq2s_own_model_gives_the_same_states(wrap, tmp_path):
    model = fairseq2_model()
    weights = {("module." if wrap == "module" else "") + name: tensor for name, tensor in model.state_dict().items()}
    torch.save(weights if wrap == "plain" else {"model": weights}, tmp_path / "model.pt")
    config = W2VBertConfig(**SIZE, **FIRST, checkpoint=tmp_path / "model.pt")
    encoder = W2VBertEncoder(config, feature_dim=160).eval()
    inner = model.w2v2_model

    def expected(x):
        h, _ = inner.encoder_frontend.process_features(
            inner.encoder_frontend.post_extract_layer_norm(x), BatchLayout.of(x)
        )
        return [inner.encoder(h, BatchLayout.of(h))]

    check_rows(encoder, expected)


@pytest.mark.parametrize("options", [{}, FIRST, {"layers": "weighted"}, {"positions": "relative"}])
def test_padding_and_batch_never_matter(options):
    check_padding(build(**options), *padded(LENGTHS, 160))
    check_rows_are_independent(build(**options), *padded(LENGTHS, 160))


@pytest.mark.parametrize("options", [FIRST, {"layers": 2}, {"layers": "weighted", "dropout": 0.1}])
def test_options_keep_the_contracts(options):
    outcomes = run("encoder", "w2v_bert", SIZE | {"max_frames": 200} | options)
    assert {outcome.contract for outcome in outcomes} >= {"padding", "batch_of_one", "length_range", "gradients"}
    assert [str(outcome) for outcome in outcomes if outcome.status != "PASS"] == []


def test_causal_convolutions_look_to_the_left_alone():
    """With attention's output at zero only the convolutions carry a frame to its neighbours."""
    x, lengths = padded([20], 160)
    changed = x.clone()
    changed[0, 10] += 1.0
    for causal, reach in ((True, range(10, 15)), (False, range(8, 13))):
        encoder = build(causal_conv=causal, num_layers=1).eval()
        with torch.no_grad():
            encoder.layers[0].self_attn.output_proj.weight.zero_()
            difference = (encoder(changed, lengths)[0] - encoder(x, lengths)[0])[0].abs().amax(dim=-1)
        assert difference.nonzero().flatten().tolist() == list(reach)


def test_follows_the_dtype_of_its_weights():
    check_follows_weight_dtype(build(), *padded(LENGTHS, 160))


def test_waveforms_are_refused():
    with pytest.raises(ConfigError, match=r"w2v_bert reads features.*raw waveforms.*data.feature: seamless_fbank"):
        registry.build("encoder", Component("w2v_bert"), feature_dim=0)


def test_lengths_out_of_bounds():
    with pytest.raises(DataError, match=r"row 1 .* 61 feature frames.*at most 60.*max_frames"):
        build()(*padded([10, 61], 160))
    with pytest.raises(DataError, match=r"row 0 .* 0 feature frames.*at least 1"):
        build()(torch.zeros(1, 3, 160), torch.tensor([0]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_heads": 5}, r"model_dim must be a multiple of 2 \* num_heads, got 1024 with 5 heads"),
        ({"kernel_size": 4}, "kernel_size must be odd, got 4"),
    ],
)
def test_impossible_options(options, message):
    with pytest.raises(ConfigError, match=message):
        structure(W2VBertConfig, options)


def test_options_that_do_not_describe_the_checkpoint_are_refused(tmp_path):
    file = tmp_path / "conformer_shaw.pt"
    torch.save({"model": fairseq_names(make_model("w2v-bert").state_dict(), linear=False)}, file)

    def fails(message, feature_dim=160, **options):
        with pytest.raises(ValueError, match=message):
            W2VBertEncoder(W2VBertConfig(**(SIZE | options | {"checkpoint": file})), feature_dim=feature_dim)

    fails(r"have no place in the encoder, e.g. stack.layers.2.*model_dim, num_layers", num_layers=2)
    fails(r"3 have another shape, e.g. .*depthwise_conv.weight \[16, 1, 5\], not \[16, 1, 7\]", kernel_size=7)
    fails(r"rel_k_embed.weight \[73, 8\], not \[69, 8\]", max_right=4)
    fails(r"tensors are missing, e.g. stack.layers.0.conv.batch_norm", conv_norm="batch")
    fails(r"tensors are missing, e.g. stack.layers.0.self_attn.sdpa.r_proj", positions="relative")
    fails(r"weight \[160\], not \[80\]; set data.feature \(seamless_fbank for 160 channels\)", feature_dim=80)
