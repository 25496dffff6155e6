from __future__ import annotations

import pytest
import torch

from aista.errors import ConfigError
from aista.losses import Sinkhorn
from aista.losses.base import AlignmentContext
from aista.losses.guides.transport import Transport, TransportConfig
from aista.registry import build
from aista.schema import resolve, structure
from tests.losses.layers import PRESENT, layer_states


def test_it_is_the_plan_over_the_mass_of_each_position():
    states = layer_states()
    guide = Transport(
        structure(TransportConfig, {"position_weight": 0.5, "solver": {"name": "sinkhorn", "config": {}}})
    )
    weights, known = guide(states, AlignmentContext())
    plan = Sinkhorn()(*(z for z in (states.speech, states.text, states.speech_lengths, states.text_lengths)),
                      position_weight=0.5).plan()  # fmt: skip
    for row in PRESENT:
        p, t = int(states.speech_lengths[row]), int(states.text_lengths[row])
        torch.testing.assert_close(weights[row, :p, :t], plan[row, :p, :t] * p, rtol=1e-2, atol=1e-3)
        torch.testing.assert_close(weights[row, :p].sum(-1), torch.ones(p, dtype=weights.dtype))
        assert known[row].sum() == t
    assert known.any(1).nonzero().flatten().tolist() == PRESENT


def test_what_its_solver_cannot_take_is_a_fault_of_the_config():
    spec = resolve("guide", {"name": "transport", "config": {"solver": "sliced"}})
    with pytest.raises(ConfigError, match=r"guide.config: position_weight must be 0 for sliced"):
        build("guide", spec, at="guide")
