"""What docs/language_models.md says of each family, proved on a tiny random model of it."""

from pathlib import Path

import pytest
import torch
import transformers
from torch import nn
from torch.nn import functional

from aista.modules.llms.hf_causal_lm import HFCausalLMConfig, build_hf_causal_lm
from aista.modules.trainable import select_trainable
from aista.modules.tuning.layers import LayersConfig, LayersTuning
from aista.modules.tuning.lora import LoraConfig, LoraTuning

from .families import CONFIGS, TITLES

PAGE = Path(__file__).parents[3] / "docs" / "language_models.md"
IDS = torch.randint(4, 11, (4, 6), generator=torch.Generator().manual_seed(0))
LENGTHS = torch.tensor([6, 6, 6, 6])


def loads(folder):
    """Logits are those of Hugging Face's own model."""
    llm = build(folder).eval()
    other = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    final, _ = llm(llm.embed(IDS), LENGTHS)
    torch.testing.assert_close(llm.project(final), other(input_ids=IDS).logits, rtol=1e-4, atol=1e-5)


def captures(folder):
    """State k is Hugging Face's entry k; its last entry is ours behind the final norm."""
    llm = build(folder).eval()
    expected = llm.model(input_ids=IDS, output_hidden_states=True).hidden_states
    final, states = llm(llm.embed(IDS), LENGTHS, capture=(0, 1, 2, 3))
    assert len(expected) == len(states)
    for state, other in zip(states[:-1], expected[:-1], strict=True):
        torch.testing.assert_close(state, other, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(final_norm(llm)(states[-1]), expected[-1], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(final, expected[-1], rtol=1e-4, atol=1e-5)


def trains(folder):
    """In full, and in its last block alone: the loss falls, and nothing else moves."""
    llm = build(folder)
    assert fall(llm) < 0.9
    llm = build(folder)
    before = {name: tensor.clone() for name, tensor in llm.state_dict().items()}
    model = nn.ModuleDict({"llm": llm})
    select_trainable(model, {"llm": LayersTuning(LayersConfig(last=1))}, ())
    assert fall(llm) < 0.9
    last = {id(parameter) for parameter in llm.layers[-1].parameters()}
    for name, parameter in llm.named_parameters():
        assert (id(parameter) in last) == (not torch.equal(parameter, before[name])), name


def learns_by_lora(folder):
    """LoRA changes nothing at first; then the loss falls, with gradients for its matrices alone."""
    llm = build(folder).eval()
    expected, states = llm(llm.embed(IDS), LENGTHS, capture=(1,))
    before = {name: tensor.clone() for name, tensor in llm.state_dict().items()}
    tuning = LoraTuning(LoraConfig(r=4, lora_dropout=0.0))
    tuning.prepare(llm)
    final, (state,) = llm(llm.embed(IDS), LENGTHS, capture=(1,))
    torch.testing.assert_close((final, state), (expected, states[0]))
    select_trainable(nn.ModuleDict({"llm": llm}), {"llm": tuning}, ())
    assert fall(llm) < 0.9
    for name, parameter in llm.named_parameters():
        if ".lora_" in name:
            assert parameter.grad.abs().sum() > 0, name
        else:
            assert parameter.grad is None, name
            assert torch.equal(parameter, before[name.replace(".base_layer.", ".")]), name


PROOFS = {"loads": loads, "captures": captures, "trains": trains, "LoRA": learns_by_lora}


def build(folder):
    return build_hf_causal_lm(HFCausalLMConfig(path=folder), vocab_size=11)


def final_norm(llm):
    """The last normalisation of the model that stands in no block."""
    inside = set(llm.layers.modules())
    return [m for m in llm.model.modules() if "norm" in type(m).__name__.lower() and m not in inside][-1]


def fall(llm):
    """Loss after a few steps of next-token prediction, as a share of the first loss; without dropout."""
    optimizer = torch.optim.AdamW([p for p in llm.parameters() if p.requires_grad], lr=2e-2, weight_decay=0.0)
    first = next_token_loss(llm.eval()).item()
    for _ in range(15):
        optimizer.zero_grad()
        next_token_loss(llm.train()).backward()
        optimizer.step()
    return next_token_loss(llm.eval()).item() / first


def next_token_loss(llm):
    final, _ = llm(llm.embed(IDS), LENGTHS)
    return functional.cross_entropy(llm.project(final)[:, :-1].flatten(0, 1), IDS[:, 1:].flatten())


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """(family, what) -> None, or how the proof failed; each is run once."""
    root, known = tmp_path_factory.mktemp("families"), {}

    def prove(family, what):
        if not (root / family).exists():
            torch.manual_seed(0)
            transformers.AutoModelForCausalLM.from_config(CONFIGS[family]()).save_pretrained(root / family)
        if (family, what) not in known:
            try:
                known[family, what] = PROOFS[what](root / family)
            except (AssertionError, ValueError) as error:
                known[family, what] = error
        return known[family, what]

    return prove


@pytest.mark.parametrize("family", TITLES)
@pytest.mark.parametrize("what", PROOFS)
def test_proof(outcome, family, what):
    error = outcome(family, what)
    if error is not None:
        raise error


def test_the_page_says_what_was_proved(outcome):
    rows = ["| family | class in config.json | " + " | ".join(PROOFS) + " |", "|---|---|" + "---|" * len(PROOFS)]
    for family, title in TITLES.items():
        cls = type(transformers.AutoModelForCausalLM.from_config(CONFIGS[family]())).__name__
        cells = ["yes" if outcome(family, what) is None else "no" for what in PROOFS]
        rows.append(f"| {title} | `{cls}` | " + " | ".join(cells) + " |")
    table = "\n".join(rows)
    assert table in PAGE.read_text(encoding="utf-8"), f"docs/language_models.md should have:\n{table}"
