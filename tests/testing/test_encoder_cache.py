from __future__ import annotations

import pytest
import torch

from aista.data.encoder_caches.base import EncoderCache
from aista.errors import DataError
from aista.testing.contracts import run
from aista.testing.encoder_cache import check_kept_once, check_picklable, check_refusals, check_round_trip


class Memory(EncoderCache):
    """Right but for being forgotten with its process."""

    bytes_per_value = 4
    kept: dict[str, torch.Tensor] = {}  # noqa: RUF012 - shared by pickled copies, as a disk is

    def missing(self, keys):
        return [key for key in keys if key not in self.kept]

    def read(self, key):
        if key not in self.kept:
            raise DataError(f"no {key}")
        return self.kept[key]

    def write(self, states):
        if not all(bool(tensor.isfinite().all()) for tensor in states.values()):
            raise DataError("not finite")
        self.kept.update(states)

    def __str__(self):
        return "memory"


class Forgetful(Memory):
    def write(self, states):
        pass


class Padded(Memory):
    def read(self, key):
        return torch.nn.functional.pad(super().read(key), (0, 0, 0, 1))


class Rounded(Memory):
    def read(self, key):
        return super().read(key).bfloat16().float()


class Small(Memory):
    bytes_per_value = 2


class Adding(Memory):
    def write(self, states):
        self.kept.update({key: tensor + self.kept.get(key, 0) for key, tensor in states.items()})


class Private(Memory):
    def __init__(self):
        self.kept = {}


class Lenient(Memory):
    def write(self, states):
        self.kept.update(states)


class Obliging(Memory):
    def read(self, key):
        return self.kept.get(key, torch.zeros(1, 1))


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_the_built_in_cache_keeps_the_contracts(tmp_path, dtype):
    outcomes = run("encoder_cache", "disk", {"path": str(tmp_path), "dtype": dtype})
    assert {outcome.status for outcome in outcomes} == {"PASS"}


@pytest.mark.parametrize("check", [check_round_trip, check_kept_once, check_picklable, check_refusals])
def test_a_plain_cache_passes(check):
    check(Memory())


CASES = [
    (check_round_trip, Forgetful, "still missing"),
    (check_round_trip, Padded, r"\[3, 4\] states came back as \[4, 4\]"),
    (check_round_trip, Rounded, "more than the rounding of torch.float32"),
    (check_round_trip, Small, "bytes_per_value is not the size"),
    (check_kept_once, Adding, "writing twice changes"),
    (check_picklable, Private, "stays missing"),
    (check_refusals, Lenient, "states of nan must raise DataError"),
    (check_refusals, Obliging, "never written must raise DataError"),
]


@pytest.mark.parametrize(("check", "broken", "message"), CASES)
def test_a_broken_cache_fails(check, broken, message):
    with pytest.raises(AssertionError, match=message):
        check(broken())
