"""Cross-entropy in slices: against all logits at once and float64, in what it holds and in what it costs."""

import pytest
import torch
import transformers
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from aista.modules import predictions, sliced_nll
from aista.modules.llms.huggingface_lm import HuggingFaceLM
from aista.modules.predictions import Tokens, token_nll
from aista.modules.tuning.lora import LoraConfig, LoraTuning
from tests.fake_gpu import WAITS, fake_gpu

from .dummies import build_llm

V, D, SIZE = 50, 16, 4
LENGTHS = (7, 0, 3, 9)


def gemma(**options):
    """Caps its logits and ties its embedding to the projection."""
    torch.manual_seed(0)
    sizes = {"vocab_size": V, "hidden_size": D, "intermediate_size": 24, "num_hidden_layers": 2, "head_dim": 8}
    config = transformers.Gemma2Config(
        **sizes, num_attention_heads=2, num_key_value_heads=1, final_logit_softcapping=2.0, **options
    )
    return HuggingFaceLM(transformers.Gemma2ForCausalLM(config), V)


def biased():
    """GPT-J's projection has a bias."""
    torch.manual_seed(0)
    config = transformers.GPTJConfig(vocab_size=V, n_embd=D, n_layer=1, n_head=2, rotary_dim=4, n_positions=40)
    llm = HuggingFaceLM(transformers.GPTJForCausalLM(config), V)
    nn.init.normal_(llm.model.lm_head.bias)
    return llm


def lora():
    """A frozen projection with a trained update, whose input has dropout."""
    llm = build_llm(V, tied_embeddings=False)
    tuning = LoraTuning(LoraConfig(r=2, target_modules=("projection",), lora_dropout=0.5))
    tuning.prepare(llm)
    trained = set(tuning.trainable(llm))
    for parameter in llm.parameters():
        parameter.requires_grad_(parameter in trained)
        if parameter in trained:
            nn.init.normal_(parameter)
    return llm.train()


HEADS = {
    "trained": lambda: build_llm(V, tied_embeddings=False),
    "tied": lambda: build_llm(V),
    "frozen": lambda: build_llm(V).requires_grad_(False),
    "capped, trained": gemma,
    "capped, frozen": lambda: gemma().requires_grad_(False),
    "bias, trained": biased,
    "LoRA on it": lora,
}


def rows(dtype=torch.float32):
    """States, the position of each row's first token, ids, and which of them count."""
    torch.manual_seed(1)
    states = torch.randn(len(LENGTHS), 20, D).to(dtype).requires_grad_()
    labels = torch.randint(V, (len(LENGTHS), max(LENGTHS)))
    return states, torch.tensor([3, 1, 5, 2]), labels, torch.arange(labels.size(1)) < torch.tensor(LENGTHS)[:, None]


def run(llm, states, start, labels, valid, *, autocast=False):
    """Values, and gradients of a sum that weighs each row otherwise; a second backward pass gives the same."""
    torch.manual_seed(2)
    llm.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        nll = token_nll(llm, states, start, labels, Tokens.of(valid))
    loss = nll @ torch.tensor([0.5, 2.0, -1.0, 0.0])
    wanted = [states, *(p for p in llm.parameters() if p.requires_grad)]
    first, second = (torch.autograd.grad(loss, wanted, retain_graph=True, allow_unused=True) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        assert one is other is None or torch.equal(one, other)
    return [nll.detach(), *(gradient for gradient in first if gradient is not None)]


def in_slices(monkeypatch, size=SIZE, vocabulary=V):
    monkeypatch.setattr(sliced_nll, "MOST_LOGITS", 4 * vocabulary * size)


@pytest.mark.parametrize("head", HEADS)
def test_values_and_gradients_are_those_of_all_logits_at_once(monkeypatch, head):
    llm = HEADS[head]()
    if head == "LoRA on it":  # one slice draws its dropout in another order than several
        llm.eval()
    whole = run(llm, *rows())
    in_slices(monkeypatch)
    assert len(whole) == 2 + len({"trained": 1, "tied": 1, "capped, trained": 1, "bias, trained": 2, "LoRA on it": 2}
                                .get(head, 0) * [None])  # fmt: skip
    for sliced, expected in zip(run(llm, *rows()), whole, strict=True):
        torch.testing.assert_close(sliced, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("head", ["tied", "frozen", "capped, trained"])
@pytest.mark.parametrize("autocast", [True, False])
def test_bfloat16_is_as_exact_as_all_logits_at_once(monkeypatch, head, autocast):
    """Errors against float32 are at most 1.5 times those of all logits at once: each slice is rounded, then the sum."""
    llm = HEADS[head]()
    if not autocast:
        llm = llm.to(torch.bfloat16)
    states, *rest = rows(torch.float32 if autocast else torch.bfloat16)
    whole = run(llm, states, *rest, autocast=autocast)
    in_slices(monkeypatch)
    sliced = run(llm, states, *rest, autocast=autocast)
    exact = run(llm.float(), states.detach().float().requires_grad_(), *rest)
    for mine, theirs, truth in zip(sliced, whole, exact, strict=True):
        assert mine.dtype == theirs.dtype
        error, allowed = ((x.float() - truth).norm() / truth.norm() for x in (mine, theirs))
        assert error <= 1.5 * allowed + 1e-4


def test_dropout_of_the_projection_is_drawn_again(monkeypatch):
    """The gradient by a direction of the weights is the difference quotient under the same random numbers."""
    in_slices(monkeypatch)
    llm, batch = lora().double(), rows()
    weights = [p for p in llm.parameters() if p.requires_grad]
    states = batch[0].detach().double().requires_grad_()
    _, _, *gradients = run(llm, states, *batch[1:])
    directions, step = [torch.randn_like(weight) for weight in weights], 1e-3
    values = []
    for sign in (1, -1):
        for weight, direction in zip(weights, directions, strict=True):
            weight.data.add_(direction, alpha=sign * step)
        values.append(run(llm, states, *batch[1:])[0])
        for weight, direction in zip(weights, directions, strict=True):
            weight.data.sub_(direction, alpha=sign * step)
    quotient = (values[0] - values[1]) @ torch.tensor([0.5, 2.0, -1.0, 0.0]) / (2 * step)
    slope = sum((g * d).sum() for g, d in zip(gradients, directions, strict=True))
    torch.testing.assert_close(slope.float(), quotient, rtol=2e-2, atol=1e-2)


def test_dropout_of_compared_projections_is_drawn_again(monkeypatch):
    llm, (states, start, _, valid) = lora(), rows()
    side, weights, found = (states.detach(), start), [p for p in llm.parameters() if p.requires_grad], []
    for recompute in (predictions.checkpoint, lambda function, *args, **_: function(*args)):
        monkeypatch.setattr(predictions, "checkpoint", recompute)
        torch.manual_seed(2)
        value = predictions.token_divergence(llm, lambda x, y: (x - y).square().sum(-1), side, side, Tokens.of(valid))
        found.append(torch.autograd.grad(value.sum(), weights))
    assert found[0][0].abs().sum() > 0, "both sides have the same states: dropout alone tells them apart"
    for again, once in zip(*found, strict=True):
        torch.testing.assert_close(again, once)


@pytest.mark.parametrize("head", ["trained", "frozen"])
def test_no_more_logits_than_a_slice_are_made_and_none_are_kept(monkeypatch, head):
    llm, sizes, kept = HEADS[head](), [], []
    in_slices(monkeypatch)
    project = llm.project
    monkeypatch.setattr(llm, "project", lambda states: sizes.append(len(states)) or project(states))
    states, start, labels, valid = rows()
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x) or x, lambda x: x):
        nll = token_nll(llm, states, start, labels, Tokens.of(valid)).sum()
    forward = [0, *[SIZE] * (sum(LENGTHS) // SIZE), sum(LENGTHS) % SIZE]
    assert sizes == forward
    weights = {p.data_ptr() for p in llm.parameters()}
    assert all(x.size(-1) != V for x in kept if x.dim() == 2 and x.data_ptr() not in weights)
    nll.backward()
    assert sizes == (forward if head == "frozen" else forward + forward[1:])


@pytest.mark.parametrize(("head", "products"), [("trained", 4), ("frozen", 2)])
def test_a_frozen_projection_costs_no_operation_more(monkeypatch, head, products):
    llm, (states, *rest, valid) = HEADS[head](), rows()
    in_slices(monkeypatch)
    with FlopCounterMode(display=False) as counter:
        token_nll(llm, states, *rest, Tokens.of(valid)).sum().backward()
    assert counter.get_total_flops() == products * 2 * V * D * sum(LENGTHS)


def test_without_gradients_nothing_is_kept(monkeypatch):
    in_slices(monkeypatch)
    llm, (states, *rest, valid) = HEADS["tied"](), rows()
    expected = token_nll(llm, states, *rest, Tokens.of(valid)).detach()
    with torch.no_grad():
        nll = token_nll(llm, states, *rest, Tokens.of(valid))
    assert not nll.requires_grad
    torch.testing.assert_close(nll, expected, rtol=0, atol=0)
    fixed = token_nll(llm, states.detach(), *rest, Tokens.of(valid))
    (gradient,) = torch.autograd.grad(fixed.sum(), llm.embedding.weight)
    assert gradient.abs().sum() > 0


def test_autocast_does_not_cut_the_weights_off(monkeypatch):
    """The slices of the forward pass run without gradients; what is projected behind them still has its own."""
    in_slices(monkeypatch)
    llm, (states, *rest, valid) = HEADS["trained"](), rows()
    with torch.autocast("cpu", torch.bfloat16):
        token_nll(llm, states, *rest, Tokens.of(valid))
        later = llm.project(states.detach())
    (gradient,) = torch.autograd.grad(later.sum(), llm.projection.weight)
    assert gradient.abs().sum() > 0


def test_tokens_may_be_absent():
    llm, (states, start, labels, valid) = HEADS["tied"](), rows()
    nll = token_nll(llm, states, start, labels, Tokens.of(torch.zeros_like(valid)))
    assert nll.tolist() == [0.0] * len(LENGTHS)
    nll.sum().backward()


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("device", ["lazy", "cuda"])
def test_a_gpu_is_never_waited_for(monkeypatch, head, device):
    """Tensors without values: whatever asked for one would fail. Those of CUDA have no backward without a driver."""
    in_slices(monkeypatch)
    llm, is_differentiated = HEADS[head]().eval(), device == "lazy"
    if is_differentiated:  # it has no autocast
        monkeypatch.setattr(torch, "is_autocast_enabled", lambda _: False)
        monkeypatch.setattr(torch, "get_autocast_dtype", lambda _: torch.bfloat16)
    with fake_gpu() if is_differentiated else FakeTensorMode(), torch.set_grad_enabled(is_differentiated):
        tied = {}
        for module in llm.modules():
            for name, weight in module._parameters.items():
                if weight is not None:
                    fake = nn.Parameter(torch.empty(weight.shape, device=device), weight.requires_grad)
                    module._parameters[name] = tied.setdefault(weight, fake)
        states = torch.empty(len(LENGTHS), 20, D, device=device, requires_grad=True)
        shapes = [(len(LENGTHS),), (len(LENGTHS), max(LENGTHS)), (sum(LENGTHS),), (sum(LENGTHS),)]
        start, labels, *places = (torch.empty(shape, device=device, dtype=torch.long) for shape in shapes)
        nll = token_nll(llm, states, start, labels, Tokens(*places, labels.shape))
        if is_differentiated:
            nll.sum().backward()
            assert states.grad.shape == states.shape
    assert nll.device.type == device


def test_finding_tokens_is_what_waits():
    """It is done before the language model runs; the test above would notice it behind."""
    with fake_gpu() as device, pytest.raises(WAITS):
        Tokens.of(torch.ones(2, 3, dtype=torch.bool, device=device))
