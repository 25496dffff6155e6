"""Losses ``cosine`` and ``mse``, and the resampling of speech to the text's length."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from aista.losses.cosine import CosineAlignment
from aista.losses.mse import MSEAlignment
from aista.losses.regression import resample
from tests.losses.layers import ONE_LAYER, PRESENT, content, layer_states

LOSSES = {"cosine": CosineAlignment, "mse": MSEAlignment}


def _build(name: str, level: str):
    return LOSSES[name](level=level)


def _naive_resample(x: torch.Tensor, size: int) -> torch.Tensor:
    """torch's own interpolation, one row at a time."""
    return functional.interpolate(x.T[None], size=size, mode="linear", align_corners=False)[0].T


@pytest.mark.parametrize("size", [1, 2, 5, 6, 17])
def test_resampling_is_linear_interpolation(size):
    x = torch.randn(3, 6, 4, dtype=torch.float64)
    lengths = torch.tensor([6, 1, 4])
    out = resample(x, lengths, torch.tensor([size, size, 1]), size + 1)
    for row, (length, new) in enumerate([(6, size), (1, size), (4, 1)]):
        torch.testing.assert_close(out[row, :new], _naive_resample(x[row, :length], new))
        assert not out[row, new:].any()


def test_resampling_of_nothing_gives_zeros():
    x = torch.randn(2, 3, 4)
    assert not resample(x, torch.tensor([0, 3]), torch.tensor([2, 0]), 2).any()
    assert resample(x[:, :0], torch.tensor([0, 0]), torch.tensor([2, 0]), 2).shape == (2, 2, 4)


@pytest.mark.parametrize("level", ["mean", "max", "token"])
@pytest.mark.parametrize("name", LOSSES)
def test_the_definition_row_by_row(name, level):
    states = layer_states()
    values = _build(name, level)(states, ONE_LAYER).per_utterance_B
    for row in range(6):
        x, y = content(states, row)
        if row not in PRESENT:
            assert values[row] == 0
            continue
        if level == "token":
            u, v = _naive_resample(x, len(y)), y
        else:
            u, v = (z.mean(0, keepdim=True) if level == "mean" else z.amax(0, keepdim=True) for z in (x, y))
        if name == "cosine":
            expected = (1 - (u * v).sum(1) / (u.norm(dim=1) * v.norm(dim=1))).mean()
        else:
            expected = (u - v).square().sum(1).mean() / u.shape[1]
        torch.testing.assert_close(values[row], expected.float())


@pytest.mark.parametrize("level", ["mean", "token"])
@pytest.mark.parametrize("name", LOSSES)
def test_gradients_agree_with_finite_differences(name, level):
    from aista.losses.regression import compared
    from aista.losses.sides import sides

    states = layer_states([5, 3, 0], [3, 4, 2])
    clean = states._replace(speech=states.speech.detach().nan_to_num(), text=states.text.detach().nan_to_num(posinf=0))

    def compare(x, y):
        u, v, _ = compared(sides(clean._replace(speech=x, text=y), detach_text=False), level)
        return (1 - functional.cosine_similarity(u, v, dim=-1)) if name == "cosine" else (u - v).square().mean(-1)

    rows = [0, 1]
    x, y = (z.clone().requires_grad_() for z in (clean.speech, clean.text))
    assert torch.autograd.gradcheck(lambda x, y: compare(x, y)[rows][:, :3], (x, y))


def test_equal_sides_are_free():
    states = layer_states([4, 3], [4, 3])
    same = states._replace(text=states.speech)
    for name in LOSSES:
        for level in ("mean", "max", "token"):
            torch.testing.assert_close(
                _build(name, level)(same, ONE_LAYER).per_utterance_B, torch.zeros(2), atol=1e-6, rtol=0
            )


def test_the_squared_error_does_not_grow_with_the_width():
    loss = _build("mse", "mean")
    states = layer_states([4], [3])
    wide = states._replace(speech=states.speech.repeat(1, 1, 5), text=states.text.repeat(1, 1, 5))
    torch.testing.assert_close(loss(wide, ONE_LAYER).per_utterance_B, loss(states, ONE_LAYER).per_utterance_B)


def test_mismatched_sides_are_named():
    states = layer_states()
    with pytest.raises(ValueError, match=r"the same B and D, got \[6, 8, 6\] for speech and \[6, 7, 5\] for text"):
        _build("cosine", "mean")(states._replace(text=states.text[..., :5]), ONE_LAYER)
