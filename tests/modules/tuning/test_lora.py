import pytest
import torch
import transformers
from torch import nn

from aista import registry
from aista.errors import ConfigError
from aista.modules.trainable import select_trainable
from aista.modules.tuning.cheap_dropout import CheapDropout
from aista.modules.tuning.lora import LoraConfig, LoraTuning
from aista.schema import resolve
from aista.testing.dummies import DummyAdapter, DummyLanguageModel

CONFORMER = {"model_dim": 16, "num_layers": 2, "num_heads": 2, "ffn_dim": 32, "kernel_size": 3, "dropout": 0.0}
WAV2VEC2 = {
    "model_dim": 16,
    "num_layers": 2,
    "num_heads": 2,
    "ffn_dim": 16,
    "conv_dim": 8,
    "position_kernel": 8,
    "position_groups": 2,
    "dropout": 0.0,
}
NATIVE = {"model_dim": 16, "num_layers": 2, "num_heads": 2, "dropout": 0.0}


def build(kind, name, config, **dependencies):
    torch.manual_seed(0)
    return registry.build(kind, resolve(kind, {"name": name, "config": config}), **dependencies)


def prepare(part, **options):
    tuning = LoraTuning(LoraConfig(**options))
    tuning.prepare(part)
    return tuning


def adapted(part):
    return sorted({name.partition(".lora_A")[0] for name, _ in part.named_parameters() if ".lora_A." in name})


def test_the_update_is_alpha_over_r_times_b_a():
    part = DummyAdapter()
    weight, bias = part.linear.weight.detach().clone(), part.linear.bias.detach().clone()
    prepare(part, r=3, lora_alpha=12, lora_dropout=0.0)
    a_RI, b_OR = part.linear.lora_A["default"].weight, part.linear.lora_B["default"].weight
    assert a_RI.shape == (3, 16)
    assert b_OR.shape == (24, 3)
    assert not b_OR.any()
    nn.init.normal_(b_OR)
    x = torch.randn(5, 16)
    torch.testing.assert_close(part.linear(x), x @ (weight + 4.0 * b_OR @ a_RI).T + bias)


def test_auto_takes_the_linear_layers_of_the_blocks():
    part = DummyLanguageModel(num_layers=2)
    part.head = nn.Linear(24, 20)
    prepare(part)
    assert adapted(part) == ["blocks.0.gate", "blocks.0.mix", "blocks.1.gate", "blocks.1.mix"]


def test_targets_answer_to_their_last_names():
    part = DummyLanguageModel(num_layers=2)
    part.head = nn.Linear(24, 20)
    prepare(part, target_modules=("gate", "head", "blocks.1.mix"))
    assert adapted(part) == ["blocks.0.gate", "blocks.1.gate", "blocks.1.mix", "head"]


def native_llm(_):
    return build("llm", "transformer_lm", NATIVE, vocab_size=20), torch.randn(2, 5, 16), torch.tensor([5, 3])


def conformer(_):
    return build("encoder", "conformer", CONFORMER, feature_dim=20), torch.randn(2, 40, 20), torch.tensor([40, 30])


def wav2vec2(_):
    encoder = build("encoder", "wav2vec2", WAV2VEC2, feature_dim=0)
    return encoder, torch.randn(2, 4000), torch.tensor([4000, 3000])


def w2v_bert(_):
    encoder = build("encoder", "w2v_bert", CONFORMER, feature_dim=20)
    return encoder, torch.randn(2, 40, 20), torch.tensor([40, 30])


def whisper(folder):
    widths = {"num_mel_bins": 20, "d_model": 16, "max_source_positions": 20, "vocab_size": 20, "pad_token_id": 0}
    sizes = {"encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 24, "decoder_layers": 1}
    config = transformers.WhisperConfig(**widths, **sizes, decoder_attention_heads=2, decoder_ffn_dim=24)
    transformers.WhisperModel(config).save_pretrained(folder)
    encoder = build("encoder", "whisper", {"path": str(folder)}, feature_dim=20)
    return encoder, torch.randn(2, 40, 20), torch.tensor([40, 30])


@pytest.mark.parametrize(
    ("make", "count"), [(native_llm, 7), (conformer, 9), (w2v_bert, 8), (wav2vec2, 6), (whisper, 6)]
)
def test_every_part_of_linear_layers_learns(make, count, tmp_path):
    """The native LLM and three encoders are built of fairseq2's own linear layers, the fourth of PyTorch's."""
    module, *inputs = make(tmp_path)
    module.eval()
    before = module(*inputs)[0]
    tuning = prepare(module, r=2)
    torch.testing.assert_close(module(*inputs)[0], before, rtol=0, atol=0)
    assert len(tuning.trainable(module)) == 2 * 2 * count
    model = nn.Module()
    model.part = module
    select_trainable(model, {"part": tuning}, ())
    for name, parameter in module.named_parameters():
        if ".lora_B." in name:
            nn.init.normal_(parameter, std=0.1)
    module(*inputs)[0].square().sum().backward()
    for name, parameter in module.named_parameters():
        assert (parameter.grad is not None) == (".lora_" in name), name
        assert ".lora_" not in name or parameter.grad.abs().sum() > 0, name


def test_layers_whose_weights_are_read_past_their_forward_are_left_alone():
    """PyTorch's own transformer hands its children's weights to fused kernels, where LoRA would be ignored."""
    part = nn.Module()
    part.layers = nn.ModuleList(
        [
            nn.TransformerEncoderLayer(8, 2, dim_feedforward=12),
            nn.MultiheadAttention(8, 2),
            nn.Sequential(nn.Linear(8, 8)),
        ]
    )
    prepare(part)
    assert adapted(part) == ["layers.2.0"]


def test_updates_of_a_bfloat16_model_are_float32():
    part = DummyLanguageModel().to(torch.bfloat16)
    tuning = prepare(part)
    assert {parameter.dtype for parameter in tuning.trainable(part)} == {torch.float32}
    states, _ = part(part.embed(torch.tensor([[3, 4]])), torch.tensor([2]))
    assert states.dtype == torch.bfloat16


def test_dropout_of_the_update_works_in_training_alone():
    part = DummyAdapter()
    prepare(part, lora_dropout=0.5)
    nn.init.normal_(part.linear.lora_B["default"].weight)
    x = torch.randn(1, 4, 16)
    model = nn.Module()
    model.adapter = part
    select_trainable(model.train(), {"adapter": LoraTuning(LoraConfig())}, ())
    assert not torch.equal(part.linear(x), part.linear(x))
    model.eval()
    assert torch.equal(part.linear(x), part.linear(x))


def test_weights_of_a_part_without_lora_and_with_it_are_taken_over():
    source, part = DummyLanguageModel(), DummyLanguageModel()
    tuning = prepare(part)
    start = {name: tensor.clone() for name, tensor in part.state_dict().items()}
    part.load_state_dict(tuning.starting_weights(part, source.state_dict()))
    assert torch.equal(part.blocks[0].mix.base_layer.weight, source.blocks[0].mix.weight)
    for name, tensor in part.state_dict().items():
        assert ".lora_" not in name or torch.equal(tensor, start[name])
    nn.init.normal_(part.blocks[0].mix.lora_B["default"].weight)
    other = DummyLanguageModel()
    prepare(other)
    other.load_state_dict(tuning.starting_weights(other, part.state_dict()))
    assert torch.equal(other.blocks[0].mix.lora_B["default"].weight, part.blocks[0].mix.lora_B["default"].weight)


@pytest.mark.parametrize(
    ("part", "targets", "message"),
    [
        (
            DummyLanguageModel(),
            ("gat",),
            r"'gat' matches no linear layer of the part \(did you mean 'gate'\?\); its .* are called mix, gate; write",
        ),
        (DummyLanguageModel(), ("gate", "q_proj"), "'q_proj' matches no linear layer"),
        (nn.LayerNorm(3), "auto", "LayerNorm has no linear layer; choose another tuning"),
    ],
)
def test_targets_that_match_nothing(part, targets, message):
    with pytest.raises(ValueError, match=message):
        prepare(part, target_modules=targets)
    assert not adapted(part)


def test_auto_of_blocks_without_linear_layers():
    part = nn.Module()
    part.layers = nn.ModuleList([nn.Conv1d(2, 2, 1)])
    part.head = nn.Linear(2, 2)
    with pytest.raises(ValueError, match="those of Module have none; name some of head"):
        prepare(part)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"r": 0}, r"tuning\.config\.r: must be at least 1, got 0"),
        ({"lora_alpha": 0}, r"tuning\.config\.lora_alpha: must be .* 0"),
        ({"lora_dropout": 1.0}, r"tuning\.config\.lora_dropout: must be at most 0\.95"),
        ({"target_modules": []}, r"target_modules must name at least one linear layer, got \[\]; or write auto"),
        ({"target_modules": "q_proj"}, r"target_modules: expects list of str or 'auto', got 'q_proj'"),
        ({"rank": 8}, r"tuning\.config\.rank: unknown option"),
    ],
)
def test_impossible_options(options, message):
    with pytest.raises(ConfigError, match=message):
        resolve("tuning", {"name": "lora", "config": options})


@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True`:UserWarning")
def test_a_tied_weight_is_not_merged():
    """What updates the output projection alone must not change the embedding with it."""
    config = transformers.LlamaConfig(
        vocab_size=12,
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        tie_word_embeddings=True,
    )
    model = transformers.LlamaForCausalLM(config)
    tuning = LoraTuning(LoraConfig(target_modules=("lm_head",)))
    tuning.prepare(model)
    with pytest.raises(ValueError, match=r"lm_head shares its weight with others \(model\.embed_tokens\.weight"):
        tuning.merge(model)


@pytest.mark.parametrize(("p", "expected"), [(0.3, CheapDropout), (0.0, nn.Identity)])
def test_dropout_of_the_update_is_the_cheap_one(p, expected):
    part = nn.ModuleDict({"layer": nn.Linear(6, 5)})
    LoraTuning(LoraConfig(r=3, lora_dropout=p)).prepare(part)
    assert type(part["layer"].lora_dropout["default"]) is expected
