from dataclasses import dataclass, field

import pytest

from aista.errors import ConfigError
from aista.registry import Entry
from aista.schema import Options, option, required
from aista.testing import options


@dataclass(frozen=True, kw_only=True)
class Good(Options):
    size: int = option(1, "A size.", minimum=0)


@dataclass(frozen=True, kw_only=True)
class Silent:
    size: int = 1


@dataclass(kw_only=True)
class Thawed:
    size: int = option(1, "A size.")


@dataclass(frozen=True, kw_only=True)
class Unbounded:
    size: int = option(1, "A size.", minimum=0)


@dataclass(frozen=True, kw_only=True)
class OutOfBounds:
    size: int = option(-1, "A size.", minimum=0)


@dataclass(frozen=True, kw_only=True)
class Changing:
    size: float = option(1, "A size.")
    half: float = field(default=0.0, metadata={"help": "Half of it."})

    def __post_init__(self):
        object.__setattr__(self, "half", self.half + 1)


@dataclass(frozen=True, kw_only=True)
class Needy(Options):
    size: int = required("A size.", minimum=0)


def documented(config):
    """Say what it is."""


def entry(config, factory=documented):
    return Entry("cost", "x", factory, config, "tests.x")


BROKEN = [
    (options.check_documented, entry(Good, lambda config: None), AssertionError, "tests.x has no docstring"),
    (options.check_documented, entry(Silent), AssertionError, "options without a meaning: size"),
    (options.check_frozen_options, entry(Thawed), AssertionError, "Thawed must be a frozen dataclass"),
    (options.check_frozen_options, entry(Unbounded), AssertionError, "Unbounded must derive from aista.schema.Options"),
    (options.check_options_round_trip, entry(OutOfBounds), ConfigError, "size: must be at least 0, got -1"),
    (
        options.check_options_round_trip,
        entry(Changing),
        AssertionError,
        "the defaults change when written and read again",
    ),
]


@pytest.mark.parametrize(("check", "broken", "error", "message"), BROKEN)
def test_broken_options_fail(check, broken, error, message):
    with pytest.raises(error, match=message):
        check(broken)


@pytest.mark.parametrize("config", [Good, Needy, None])
@pytest.mark.parametrize("check", options.CHECKS)
def test_correct_options_pass(check, config):
    check(entry(config))


def test_every_check_has_options_that_break_it():
    assert {check for check, *_ in BROKEN} == set(options.CHECKS)
