"""Contracts of kind ``encoder_cache``; they write a few small states under keys that no recording has."""

from __future__ import annotations

import pickle
import uuid

import torch
from torch import Tensor

from aista.data.encoder_caches.base import EncoderCache
from aista.errors import DataError
from aista.testing.contracts import contract, dependencies
from aista.testing.tensors import assert_raises, ramp

dependencies("encoder_cache", {"identity": {"encoder": "contracts"}})


@contract("encoder_cache")
def check_round_trip(cache: EncoderCache) -> None:
    """Written states are read with their length, within the rounding of their dtype; ``missing`` knows them."""
    states = _states()
    assert cache.missing(states) == list(states), "keys that were never written must be missing, in the order given"
    cache.write(states)
    assert cache.missing([*states, "other"]) == ["other"], "what was written is still missing"
    for key, expected in states.items():
        stored = cache.read(key)
        assert stored.shape == expected.shape, f"{list(expected.shape)} states came back as {list(stored.shape)}"
        rounding = torch.finfo(stored.dtype).eps
        close = torch.allclose(stored.float(), expected, rtol=rounding, atol=rounding)
        assert close, f"states came back changed by more than the rounding of {stored.dtype}"
        assert stored.dtype.itemsize == cache.bytes_per_value, "bytes_per_value is not the size of what is read"


@contract("encoder_cache")
def check_kept_once(cache: EncoderCache) -> None:
    """Writing a recording again, as two processes may, leaves it readable."""
    states = _states()
    cache.write(states)
    first = {key: cache.read(key) for key in states}
    cache.write(states)
    assert all(torch.equal(cache.read(key), first[key]) for key in states), "writing twice changes what is read"


@contract("encoder_cache")
def check_picklable(cache: EncoderCache) -> None:
    """A pickled copy (worker processes) reads what the original has; the original sees what the copy writes."""
    states, more = _states(), _states()
    cache.write(states)
    again = pickle.loads(pickle.dumps(cache))
    assert all(torch.equal(again.read(key), cache.read(key)) for key in states), "a pickled copy reads other states"
    again.write(more)
    assert not cache.missing(more), "what another process wrote stays missing"


@contract("encoder_cache")
def check_refusals(cache: EncoderCache) -> None:
    """A recording that is not there, and states that are not finite, are a DataError."""
    key = uuid.uuid4().hex
    for states in (torch.full((2, 3), torch.nan), torch.full((2, 3), torch.inf)):
        with assert_raises(DataError, f"states of {float(states[0, 0])} must raise DataError when they are written"):
            cache.write({key: states})
    with assert_raises(DataError, "a recording that was never written must raise DataError when it is read"):
        cache.read(key)


def _states() -> dict[str, Tensor]:
    return {uuid.uuid4().hex: ramp(length, 4) for length in (3, 1, 7)}
