"""What the output layer reads off the states of a layer."""

import pytest
import torch

from aista.modules.lsm import ForwardRequest
from aista.modules.token_reading import read_tokens

from .dummies import build_llm
from .test_lsm import build, make_batch, run


@torch.no_grad()
def slow_reading(llm, states_PD, tokens_T):
    """One token after the other, by the definition."""
    q = llm.project(llm.normalize(states_PD)).double().softmax(-1).amax(0)
    rivals = [float(q[v]) for v in range(len(q)) if v not in tokens_T.tolist()]
    return [(1 / (1 + sum(value > float(q[token]) for value in rivals)), float(q[token])) for token in tokens_T]


def test_ranks_and_probabilities_are_their_definition():
    model, batch = build(), make_batch()
    output = run(model, batch, capture=(0, 2, 3), readings=True)
    assert len(output.readings) == 3
    for states, readings in zip(output.speech, output.readings, strict=True):
        assert readings.shape == (*batch.source.shape, 2)
        for row in (0, 2):
            count = int(batch.source_lengths[row])
            expected = slow_reading(model.llm, states[row, : output.speech_lengths[row]], batch.source[row, :count])
            torch.testing.assert_close(readings[row, :count].double(), torch.tensor(expected, dtype=torch.float64))
            assert (readings[row, count:] == 0).all()
        assert (readings[1] == 0).all()  # it has no transcript


def test_readings_carry_no_gradient_and_come_only_where_asked_for():
    model, batch = build(), make_batch()
    output = run(model, batch, capture=(3,), readings=True)
    assert not output.readings[0].requires_grad
    assert output.speech[0].requires_grad
    assert run(model, batch, capture=(3,)).readings == ()


def test_an_embedding_is_read_as_its_own_token():
    llm = build_llm()
    with torch.no_grad():
        llm.embedding.weight.copy_(10 * torch.eye(13, 16))
    tokens = torch.tensor([[4, 7, 9]])
    states = llm.embed(tokens[:, [2, 0, 0, 1]])
    found = read_tokens(llm, states, torch.tensor([4]), tokens, torch.tensor([3]))
    assert (found[..., 0] == 1).all()
    assert (found[..., 1] > 0.9).all()
    other = read_tokens(llm, states, torch.tensor([4]), torch.tensor([[9, 11, 0]]), torch.tensor([2]))
    assert other[0, 0, 0] == 1 / 2  # 4 and 7 are as probable, and no longer of the transcript
    assert other[0, 1, 0] < 1 / 4
    assert (other[0, 2] == 0).all()


def test_equal_tokens_count_half():
    llm = build_llm()
    with torch.no_grad():
        llm.embedding.weight.zero_()
    found = read_tokens(llm, torch.ones(1, 2, 16), torch.tensor([2]), torch.tensor([[4, 4, 5]]), torch.tensor([3]))
    torch.testing.assert_close(found[0, :, 0], torch.full((3,), 1 / (1 + 11 / 2)))
    torch.testing.assert_close(found[0, :, 1], torch.full((3,), 1 / 13))


@pytest.mark.parametrize("grad", [False, True])
def test_the_gradient_at_the_input_is_that_of_the_whole_model(grad):
    """With gradients off outside, and equal to the chain rule through the adapter's output."""
    model, batch = build(), make_batch()
    with torch.set_grad_enabled(grad):
        output = model(batch, ForwardRequest(capture=(1,), input_gradient=True))
        plain = model(batch, ForwardRequest(capture=(1,)))
    torch.testing.assert_close(output.nll, plain.nll)
    assert plain.embedded is None
    assert output.embedded.is_leaf
    (found,) = torch.autograd.grad(output.nll.sum(), output.embedded)
    assert all(parameter.grad is None for parameter in model.parameters())
    step = 1e-2 * found / found.norm()
    with torch.no_grad():
        moved = [_nll(model, batch, output.embedded + sign * step) for sign in (1, -1)]
    slope = float(moved[0] - moved[1]) / (2 * float(step.norm()))
    assert slope == pytest.approx(float(found.norm()), rel=2e-2)
    assert not output.text[0].requires_grad


def _nll(model, batch, embedded):
    """The batch's NLL where the adapter gives ``embedded``."""
    handle = model.adapter.register_forward_hook(lambda _module, _args, out: (embedded.detach(), out[1]))
    try:
        return model(batch, ForwardRequest()).nll.sum()
    finally:
        handle.remove()
