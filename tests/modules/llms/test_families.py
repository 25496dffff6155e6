"""What docs/language_models.md says of each family, proved on a tiny random model of it."""

from pathlib import Path

import pytest
import torch
import transformers
from torch import nn
from torch.nn import functional

from aista import registry
from aista.errors import AistaError
from aista.modules.trainable import select_trainable
from aista.modules.tuning.layers import LayersConfig, LayersTuning
from aista.modules.tuning.lora import LoraConfig, LoraTuning
from aista.schema import resolve
from tests.data.tokenizers.test_hugging_face import save as save_tokenizer
from tests.tiny import tiny_config

from .families import FAMILIES

PAGE = Path(__file__).parents[3] / "docs" / "language_models.md"
IDS = torch.randint(4, 11, (4, 6), generator=torch.Generator().manual_seed(0))
LENGTHS = torch.tensor([6, 6, 6, 6])


def loads(family, folder):
    """Logits are those of Hugging Face's own model."""
    llm, other = build(family, folder).eval(), family.reference(folder)
    torch.testing.assert_close(logits(llm), other(input_ids=IDS).logits, rtol=1e-4, atol=1e-5)


def captures(family, folder):
    """State k is Hugging Face's entry k; its last entry is ours behind the final norm."""
    llm = build(family, folder).eval()
    expected = family.reference(folder)(input_ids=IDS, output_hidden_states=True).hidden_states
    final, states = llm(llm.embed(IDS), LENGTHS, capture=(0, 1, 2, 3))
    assert len(expected) == len(states)
    for state, other in zip(states[:-1], expected[:-1], strict=True):
        torch.testing.assert_close(state, other, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(llm.normalize(states[-1]), expected[-1], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(final, expected[-1], rtol=1e-4, atol=1e-5)


def trains(family, folder):
    """In full, and in its last block alone: the loss falls, and nothing else moves."""
    llm = build(family, folder)
    assert fall(llm) < 0.9
    llm = build(family, folder)
    before = {name: tensor.clone() for name, tensor in llm.state_dict().items()}
    model = nn.ModuleDict({"llm": llm})
    select_trainable(model, {"llm": LayersTuning(LayersConfig(last=1))}, ())
    assert fall(llm) < 0.9
    last = {id(parameter) for parameter in llm.layers[-1].parameters()}
    for name, parameter in llm.named_parameters():
        assert (id(parameter) in last) == (not torch.equal(parameter, before[name])), name


def learns_by_lora(family, folder):
    """LoRA changes nothing at first; then the loss falls, with gradients for its matrices alone."""
    llm = build(family, folder).eval()
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


def exports(family, folder):
    """A run with LoRA on it, whole and merged, without a second copy of the base's weights."""
    _, trained, outs = exported(family, folder)
    assert any(".lora_" in name for name in trained.state_dict())
    for out in outs.values():
        assert [file.name for file in out.rglob("*.safetensors")] == ["model.safetensors"]


def reloads(family, folder):
    """Without run and base: the very weights and logits; merged, the same logits to rounding."""
    from aista.engine.inference.trained_run import open_run

    base, trained, outs = exported(family, folder)
    hidden = base.rename(base.with_name("hidden"))
    try:
        whole, merged = (open_run(outs[kind], device="cpu").model for kind in ("whole", "merged"))
    finally:
        hidden.rename(base)
    expected, found = trained.state_dict(), whole.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    assert torch.equal(logits(whole.llm), logits(trained.llm))
    assert not any("lora" in name for name in merged.state_dict())
    torch.testing.assert_close(logits(merged.llm), logits(trained.llm), rtol=1e-3, atol=1e-3)


PROOFS = {
    "loads": loads,
    "captures": captures,
    "trains": trains,
    "LoRA": learns_by_lora,
    "exports": exports,
    "reloads": reloads,
}


def build(family, folder):
    spec = resolve("llm", {"name": family.llm, "config": {"path": str(folder)}})
    return registry.build("llm", spec, vocab_size=11)


def logits(llm):
    with torch.no_grad():
        final, _ = llm(llm.embed(IDS), LENGTHS)
        return llm.project(final)


def exported(family, folder):
    """The base folder, the model of a finished run on it, and the run's exports; made once. Needs fairseq2."""
    from aista.engine.export.write import export
    from aista.engine.inference.trained_run import open_run
    from tests.finished import finish

    place = folder.with_name(f"{folder.name}_run")
    if not place.exists():
        save_tokenizer(family.make(place / "base", 300), eos_token="<|end|>", pad_token="<|pad|>")
        options = tiny_config(place, prompt="{speech}")
        options["tokenizer"] = {"name": "hugging_face", "config": {"path": str(place / "base")}}
        tuning = {"name": "lora", "config": {"r": 2, "lora_dropout": 0.0}}
        options["llm"] = {"name": family.llm, "tuning": tuning, "config": {"path": str(place / "base")}}
        run, _ = finish(place, options)
        for kind in ("whole", "merged"):
            export(run, place / kind, kind=kind)
    trained = open_run(place / "run", device="cpu").model
    return place / "base", trained, {kind: place / kind for kind in ("whole", "merged")}


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

    def prove(name, what):
        family, folder = FAMILIES[name], root / name
        if not folder.exists():
            family.make(folder)
        if (name, what) not in known:
            try:
                known[name, what] = PROOFS[what](family, folder)
            except (AssertionError, ValueError, AistaError) as error:
                known[name, what] = error
        return known[name, what]

    return prove


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("what", PROOFS)
def test_proof(outcome, family, what):
    error = outcome(family, what)
    if error is not None:
        raise AssertionError(f"{family} fails the proof {what!r}") from error


def test_the_page_says_what_was_proved(outcome):
    head = "| family | llm | class in config.json | "
    rows = [head + " | ".join(PROOFS) + " |", "|---|---|---|" + "---|" * len(PROOFS)]
    for name, family in FAMILIES.items():
        if family.llm == "qwen2_audio":
            cls = "Qwen2AudioForConditionalGeneration"
        else:
            cls = type(transformers.AutoModelForCausalLM.from_config(family.config())).__name__
        cells = ["yes" if outcome(name, what) is None else "no" for what in PROOFS]
        rows.append(f"| {family.title} | `{family.llm}` | `{cls}` | " + " | ".join(cells) + " |")
    table = "\n".join(rows)
    assert table in PAGE.read_text(encoding="utf-8"), f"docs/language_models.md should have:\n{table}"
