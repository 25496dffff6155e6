"""Agreement of the gradients of translation and alignment."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from aista.errors import ConfigError
from aista.schema import structure
from aista.selection.gradient_measure import GradientAgreement
from aista.selection.pair_transport import PairTransport, TransportConfig
from aista.selection.retrieval_probe import RetrievalProbe
from aista.types import LsmOutput


def transport(position_weight: float = 0.0, **options: Any) -> PairTransport:
    return PairTransport(structure(TransportConfig, options), position_weight)


def output(nll_of: Any, *, text_lengths: tuple[int, ...] = (3, 3, 3), layers: int = 1, seed: int = 0) -> LsmOutput:
    """Speech states are the embedded positions themselves; ``nll_of(x, text)`` gives ``[B]``."""
    generator = torch.Generator().manual_seed(seed)
    rows = len(text_lengths)
    x = torch.randn(rows, 4, 5, generator=generator).requires_grad_()
    text = torch.randn(rows, 3, 5, generator=generator)
    with torch.enable_grad():
        nll, states = nll_of(x, text), x * 1
    lengths = torch.full((rows,), 4)
    return LsmOutput(
        *(nll, torch.ones(rows), (states,) * layers, lengths, (text,) * layers, torch.tensor(text_lengths)),
        mt_nll=torch.zeros(rows),
        embedded=x,
    )


def cost(x: Tensor, text: Tensor) -> Tensor:
    lengths = torch.full((len(x),), 4), torch.full((len(x),), 3)
    return transport().values(x, text, *lengths)


def test_the_same_loss_agrees_and_its_negative_opposes() -> None:
    agree = GradientAgreement(transport())
    (same,) = agree(output(cost))
    (opposed,) = agree(output(lambda x, text: -3 * cost(x, text)))
    torch.testing.assert_close(same, torch.ones(3, dtype=torch.float64))
    torch.testing.assert_close(opposed, -torch.ones(3, dtype=torch.float64))


def test_it_is_the_cosine_of_two_gradients_per_row() -> None:
    (found,) = GradientAgreement(transport())(output(lambda x, text: x.pow(3).sum((1, 2)), seed=4))
    out = output(lambda x, text: x.pow(3).sum((1, 2)), seed=4)
    assert out.embedded is not None
    x = out.embedded.detach().requires_grad_()
    (other,) = torch.autograd.grad(cost(x, out.text[0]).sum(), x)
    expected = torch.cosine_similarity((3 * x.detach().square()).flatten(1), other.flatten(1), dim=1)
    torch.testing.assert_close(found, expected.double(), rtol=1e-4, atol=1e-5)
    assert found.abs().max() < 0.9


def test_rows_without_a_transcript_have_no_agreement_and_are_skipped_by_the_probe() -> None:
    out = output(cost, text_lengths=(3, 0, 3), layers=2)
    found = GradientAgreement(transport())(out)
    assert [values.tolist()[1] for values in found] == [0, 0]
    probe = RetrievalProbe((0, 1), agreement=GradientAgreement(transport()), resamples=20)
    with torch.no_grad():  # as a probe runs
        probe.add(out)
    estimates = probe.compute().estimates("gradient_cosine")
    assert [estimate.value for estimate in estimates.values()] == pytest.approx([1, 1])


def test_a_batch_without_any_transcript_has_none() -> None:
    (found,) = GradientAgreement(transport())(output(lambda x, text: x.sum((1, 2)), text_lengths=(0, 0)))
    assert found.tolist() == [0, 0]


def test_the_positional_term_counts() -> None:
    out = output(lambda x, text: x.pow(3).sum((1, 2)))
    plain, placed = (GradientAgreement(transport(weight))(out)[0] for weight in (0.0, 5.0))
    assert not torch.allclose(plain, placed)


def test_a_solver_that_has_no_positional_term_is_refused() -> None:
    from tests.selection.test_strategies import make

    with pytest.raises(ConfigError, match="position"):
        make("gradient_agreement", position_weight=1.0, transport={"solver": "sliced", "cost": "sqeuclidean"})
