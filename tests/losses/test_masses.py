from __future__ import annotations

import pytest
import torch

from aista.errors import ConfigError
from aista.losses import Sinkhorn
from aista.losses.masses import Norm, Uniform, resolve_mass
from tests.losses.clouds import clouds


def test_names_and_callables_are_resolved():
    assert isinstance(resolve_mass("uniform"), Uniform)
    assert resolve_mass(torch.ones_like) is torch.ones_like
    with pytest.raises(ConfigError, match="norm"):
        resolve_mass("norms")


def test_uniform_is_the_default():
    case = clouds([5, 3], [4, 2])
    default = Sinkhorn()(*case).value
    for mass in ("uniform", Uniform(), lambda states: states.new_full(states.shape[:-1], 3.0)):
        torch.testing.assert_close(Sinkhorn()(*case, x_mass=mass, y_mass=mass).value, default)


def test_norms_are_a_constant():
    states = torch.tensor([[3.0, 4.0], [0.0, 0.0]], requires_grad=True)
    masses = Norm()(states)
    assert torch.equal(masses, torch.tensor([5.0, 0.0]))
    assert not masses.requires_grad


def test_a_mass_of_ones_own_sees_content_alone_and_passes_gradients_on():
    case, seen = clouds([5, 3], [4, 2]).leaves(), []

    def first_channel(states):
        seen.append(tuple(states.shape))
        return states[:, 0].sigmoid()

    Sinkhorn()(
        *case, cost=lambda x, y: torch.cdist(x.detach(), y.detach()), x_mass=first_channel
    ).value.sum().backward()
    assert seen == [(5, 8), (3, 8)]
    assert case.x.grad[0, :5, 0].abs().sum() > 0
    assert case.x.grad[:, :, 1:].eq(0).all()
    assert case.x.grad[1, 3:].eq(0).all()


def test_a_mass_of_the_wrong_shape_is_named():
    with pytest.raises(
        ValueError, match=r"y_mass: a mass must map \[4, D\] to a tensor \[4\], but .* gave .* \[4, 8\]"
    ):
        Sinkhorn()(*clouds([5], [4]), y_mass=torch.abs)
