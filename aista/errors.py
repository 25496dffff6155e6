"""The AistaError family: every error a user can cause, with its place, rule, value and remedy."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "MAX_SHOWN",
    "AistaError",
    "ConfigError",
    "DataError",
    "Fault",
    "PluginError",
    "RegistryError",
    "RunError",
    "shown",
]

MAX_SHOWN = 200
"""Maximum number of characters of a value or key in a message."""
MAX_FAULTS = 100
"""Maximum number of faults listed for one config."""


class AistaError(Exception):
    """Base of all errors that aista raises on purpose. The CLI prints the message, never a traceback.

    ``exit_code`` is 2 where the user can correct the input and 1 where a run failed.
    """

    exit_code = 2


class RegistryError(AistaError):
    """A component kind or name is unknown, or registered twice."""


class PluginError(AistaError):
    """A plug-in file or entry point cannot be loaded, built or used.

    Attributes:
        reason: The fault, without the advice to run ``aista check``.

    Args:
        reason: As above, beginning with the place in the plug-in's file where ``check`` is given.
        check: The file that ``aista check`` tests; the message says so.
    """

    def __init__(self, reason: str, *, check: str = "") -> None:
        self.reason = reason
        test = f"`aista check {check}` tests it, PYTHONDEVMODE=1 shows the traceback"
        super().__init__(f"plug-in {reason}; {test}" if check else reason)


class DataError(AistaError):
    """A manifest, audio file or tokenizer is missing or malformed."""


class RunError(AistaError):
    """A run folder, checkpoint or running training is not in the state that the command needs."""

    exit_code = 1


def shown(value: object) -> str:
    """A received value as messages show it: its ``repr``, at most ``MAX_SHOWN`` characters of it."""
    try:
        text = repr(value)
    except ValueError:  # Python writes no whole number of thousands of digits
        return f"a {type(value).__name__} too long to write"
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}... ({len(text):,} characters)"


@dataclass(frozen=True)
class Fault:
    """One mistake in a config: where it is, what rule it breaks, and how to correct it.

    Attributes:
        path: Place in the config, e.g. ``alignment[0].config.solver``.
        problem: The rule and the received value.
        remedy: The correction; may be empty where the problem implies it.
    """

    path: str
    problem: str
    remedy: str = ""

    def __str__(self) -> str:
        place = self.path or "(top level)"
        return f"{place}: {self.problem}" + (f"; {self.remedy}" if self.remedy else "")


class ConfigError(AistaError):
    """All faults found in a config, reported together, one line each: at most ``MAX_FAULTS``, then a count."""

    def __init__(self, faults: list[Fault], source: str = "config") -> None:
        if len(faults) > MAX_FAULTS:
            more = Fault(source, f"{len(faults) - MAX_FAULTS:,} more faults")
            faults = [*faults[:MAX_FAULTS], more]
        self.faults = faults
        self.source = source
        count = f"{len(faults)} fault" + ("s" if len(faults) != 1 else "")
        super().__init__("\n".join([f"{source}: {count}", *(f"  {fault}" for fault in faults)]))
