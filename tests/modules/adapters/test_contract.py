"""What holds for every built-in adapter; each one's own arithmetic is tested beside it."""

import functools
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aista import registry
from aista.modules.adapters.base import Adapter
from aista.schema import resolve
from aista.testing.contracts import contracts
from aista.types import length_mask
from tests.modules.checks import check_follows_weight_dtype, check_padding, check_rows_are_independent, padded

SMALL = {"model_dim": 8, "num_heads": 2, "num_layers": 1, "dropout": 0.0}
BOUND = None  # the length depends on the states


def every(stride: int) -> Callable[[int], int]:
    return lambda n: -(-n // stride)


VARIANTS = {
    "linear": ("linear", {}, every(1)),
    "linear_plain": ("linear", {"output_norm": False}, every(1)),
    "mlp": ("mlp", {"hidden_dim": 7}, every(1)),
    "conv": ("conv", {}, every(4)),
    "conv_list": ("conv", {"stride": [3, 2], "kernel_size": 4, "hidden_dim": 9}, every(6)),
    "conv_1": ("conv", {"stride": 1, "output_norm": False}, every(1)),
    "frame_stack": ("frame_stack", {}, every(4)),
    "frame_stack_mlp": ("frame_stack", {"stride": 3, "hidden_dim": 9}, every(3)),
    "transformer": ("transformer", SMALL, every(4)),
    "transformer_1": ("transformer", SMALL | {"stride": 1, "num_layers": 2, "ffn_dim": 5}, every(1)),
    "conformer": ("conformer", SMALL, every(4)),
    "conformer_2": ("conformer", SMALL | {"stride": 2, "kernel_size": 3, "output_norm": False}, every(2)),
    "qformer": ("qformer", SMALL, lambda n: 64),
    "qformer_3": ("qformer", SMALL | {"num_queries": 3, "num_layers": 2, "ffn_dim": 5}, lambda n: 3),
    "window_qformer": ("window_qformer", SMALL, every(17)),
    "window_qformer_2": ("window_qformer", SMALL | {"window": 5, "num_queries": 2}, lambda n: 2 * -(-n // 5)),
    "ctc_compress": ("ctc_compress", {}, BOUND),
    "ctc_compress_weighted": ("ctc_compress", {"merge": "weighted", "drop_blanks": True}, BOUND),
    "ctc_compress_softmax": ("ctc_compress", {"merge": "softmax", "output_norm": False}, BOUND),
    "cif": ("cif", {}, BOUND),
    "cif_even": ("cif", {"kernel_size": 4, "output_norm": False}, BOUND),
    "moe": ("moe", {}, every(4)),
    "moe_1": ("moe", {"top_k": 1, "output_norm": False, "num_experts": 3, "stride": 2}, every(2)),
    "moe_all": ("moe", {"top_k": 3, "num_experts": 3, "hidden_dim": 5, "stride": 1}, every(1)),
}
NAMES = sorted({name for name, _, _ in VARIANTS.values()})
VOCAB_SIZE = 5


def build(name: str, options: dict[str, object]) -> Adapter:
    spec = resolve("adapter", {"name": name, "config": options})
    torch.manual_seed(0)
    return registry.build("adapter", spec, input_dim=6, output_dim=10, vocab_size=VOCAB_SIZE)


def build_default(name: str, **options: object) -> Adapter:
    needs_width = name in ("transformer", "conformer", "qformer", "window_qformer")
    return build(name, (SMALL if needs_width else {}) | options)


@pytest.fixture(params=VARIANTS.values(), ids=VARIANTS)
def variant(request):
    name, options, length = request.param
    return build(name, options), length


def test_every_adapter_is_covered():
    own = {entry.name for entry in registry.entries("adapter") if entry.origin.startswith("aista.")}
    assert sorted(own - {"qwen2_audio"}) == NAMES  # needs a folder; tests/modules/test_qwen2_audio.py


def test_the_contracts_hold(variant):
    adapter, _ = variant
    for check in contracts("adapter"):
        check(adapter, **registry.named_by(check, {"input_dim": 6, "output_dim": 10, "vocab_size": VOCAB_SIZE}))


def test_shapes_and_lengths(variant):
    adapter, length = variant
    positions, lengths = adapter(*padded([23, 1, 12], 6))
    assert positions.shape == (3, int(lengths.max()), 10)
    assert adapter.exact_lengths == (length is not BOUND)
    if length is not BOUND:
        assert lengths.tolist() == [length(n) for n in (23, 1, 12)]


@settings(max_examples=25, deadline=None)
@given(
    name=st.sampled_from(sorted(VARIANTS)),
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=4),
    tokens=st.integers(0, 50),
    scale=st.sampled_from([0.0, 1e-3, 1.0, 1e3]),
    training=st.booleans(),
    seed=st.integers(0, 100),
)
def test_the_announced_lengths_hold_for_any_input(name, lengths, tokens, scale, training, seed):
    adapter = built(name).train(training)
    states, lengths = padded(lengths, 6, seed=seed)
    source = torch.randint(VOCAB_SIZE, (len(lengths), tokens), generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        positions, found, terms = adapter.adapt(scale * states, lengths, source, torch.full_like(lengths, tokens))
    announced = adapter.output_lengths(lengths)
    assert positions.size(1) >= int(found.max())
    assert positions.isfinite().all()
    assert all(term.value.isfinite().all() for term in terms)
    assert (found >= 1).all()
    assert (found <= announced).all()
    assert not adapter.exact_lengths or (found == announced).all()


@functools.cache
def built(name: str) -> Adapter:
    return build(*VARIANTS[name][:2])


def test_every_parameter_learns(variant):
    """In a batch with transcripts no parameter's gradient is zero but for experts that nothing is sent to."""
    adapter, _ = variant
    states, lengths = padded([23, 12, 9], 6)
    source = torch.randint(VOCAB_SIZE, (3, 4), generator=torch.Generator().manual_seed(0))
    positions, out_lengths, terms = adapter.adapt(states, lengths, source, torch.tensor([4, 3, 0]))
    mask = length_mask(out_lengths, positions.size(1))[..., None]
    (((positions * mask) ** 3).sum() + sum(term.weight * term.value.sum() for term in terms)).backward()
    still = [name for name, p in adapter.named_parameters() if p.grad is None or not p.grad.any()]
    assert not [name for name in still if not name.startswith("experts.")]


def test_padding_and_batch_never_matter(variant):
    adapter, _ = variant
    if hasattr(adapter, "head"):
        adapter.head.requires_grad_(False)  # it learns from its own loss alone
    check_padding(adapter, *padded([23, 1, 12], 6))
    check_rows_are_independent(adapter, *padded([23, 1, 12], 6))


def test_follows_the_dtype_of_its_weights(variant):
    adapter, length = variant
    if length is BOUND or hasattr(adapter, "router"):  # rounding may move a border between positions or experts
        assert adapter.bfloat16()(*padded([23, 12], 6))[0].dtype == torch.bfloat16
    else:
        check_follows_weight_dtype(adapter, *padded([23, 12], 6))


@pytest.mark.parametrize("name", NAMES)
def test_dropout_acts_in_training_only(name):
    adapter = build_default(name, dropout=0.5)
    x = padded([12], 6)
    assert not torch.equal(adapter.train()(*x)[0], adapter(*x)[0])
    assert torch.equal(adapter.eval()(*x)[0], adapter(*x)[0])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("scale_of_states", [0.1, 30.0])
def test_output_norm_sets_the_scale(name, scale_of_states):
    adapter = build_default(name)
    adapter.match_output_scale(0.02)
    x, lengths = padded([40], 6)
    rms = adapter(scale_of_states * x, lengths)[0].square().mean().sqrt()
    torch.testing.assert_close(rms, torch.tensor(0.02), rtol=0.05, atol=0)


def test_scale_is_left_alone_without_output_norm():
    adapter = build("linear", {"output_norm": False})
    before = adapter(*padded([5], 6))[0]
    adapter.match_output_scale(0.02)
    assert torch.equal(adapter(*padded([5], 6))[0], before)


@pytest.mark.parametrize("name", NAMES)
def test_learns(name):
    adapter = build_default(name)
    x, lengths = padded([16, 8], 6)
    target = torch.randn(2, 64, 10, generator=torch.Generator().manual_seed(1))
    optimizer = torch.optim.Adam(adapter.parameters(), 0.02)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        positions, _ = adapter(x, lengths)
        loss = (positions - target[:, : positions.size(1)]).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
