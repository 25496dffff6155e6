"""Contract tests of every kind of component, as plain functions, and the runner of ``aista check``.

A contract is ``check_xxx(component)``, with those dependencies that it names, and raises AssertionError with a message
that says what is wrong. Those of kind ``adapter`` live in ``aista.testing.adapter``, and so on. Run one by
itself in your own tests, or all of them:

    for outcome in run("adapter", "my_adapter", {"stride": 4}):
        assert outcome.status != "FAIL", outcome
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import torch

from aista import registry
from aista.errors import ConfigError, DataError, PluginError
from aista.plugin_faults import described, is_foreign, place_of, where
from aista.registry import Entry
from aista.schema import Component, required_options, resolve
from aista.testing import options

__all__ = ["Outcome", "contract", "contracts", "run"]

Check = TypeVar("Check", bound=Callable[..., None])
Status = Literal["PASS", "FAIL", "SKIPPED"]
CONSTRUCTS = "constructs"
"""Name of the contract common to all kinds: the component can be built with the given options."""
_contracts: dict[str, list[Callable[..., None]]] = {}
_dependencies: dict[str, Sequence[Mapping[str, Any]]] = {}


@dataclass(frozen=True)
class Outcome:
    """Result of one contract for one component. ``reason`` is empty where it passed."""

    kind: str
    name: str
    contract: str
    status: Status
    reason: str = ""

    def __str__(self) -> str:
        line = f"{self.status:7} {self.kind}/{self.name} {self.contract}"
        return f"{line}: {self.reason}" if self.reason else line


def contract(kind: str) -> Callable[[Check], Check]:
    """Add the decorated check to the contracts of ``kind``, in the order of definition."""

    def decorate(check: Check) -> Check:
        _contracts.setdefault(kind, []).append(check)
        return check

    return decorate


def dependencies(kind: str, *choices: Mapping[str, Any]) -> None:
    """Register dependencies to pass to the kind's factories: the first choice that a factory does not reject."""
    _dependencies[kind] = choices


def contracts(kind: str) -> tuple[Callable[..., None], ...]:
    """The contracts of a kind; empty if it has none beyond those on its options."""
    module = f"aista.testing.{kind}"
    if importlib.util.find_spec(module) is not None:
        importlib.import_module(module)
    return tuple(_contracts.get(kind, ()))


def run(kind: str, name: str, config: Mapping[str, Any] | None = None) -> list[Outcome]:
    """Run every contract of ``kind`` on the component ``name``, each on a freshly built, seeded one.

    Args:
        kind: A kind.
        name: A component's name.
        config: Its options as plain data; needed where options are required.

    Returns:
        One outcome per contract: ``SKIPPED`` where the component needs options that were not given.

    Raises:
        RegistryError: no such component.
    """
    entry = registry.get(kind, name)
    return list(_run(entry, dict(config or {})))


def _run(entry: Entry, config: dict[str, Any]) -> Iterator[Outcome]:
    checks = contracts(entry.kind)

    def outcome(check: Callable[..., None] | str, status: Status, reason: str = "") -> Outcome:
        title = check if isinstance(check, str) else check.__name__.removeprefix("check_")
        return Outcome(entry.kind, entry.name, title, status, reason)

    failed = ""
    required = {} if entry.config is None else required_options(entry.config)
    missing = [name for name in required if name not in config]
    if missing:
        needs = ", ".join(f"config.{name}" for name in missing)
        skipped = f"needs {needs} ({required[missing[0]].rstrip('.')}); give it with --set {missing[0]}=..."
        yield outcome(CONSTRUCTS, "SKIPPED", skipped)
    else:
        status, reason = _attempt(entry, _build, entry, config)
        yield outcome(CONSTRUCTS, status, reason)
        if status == "FAIL":
            return
    for check in options.CHECKS:
        yield outcome(check, *_attempt(entry, check, entry))
    for check in checks:
        if missing:
            yield outcome(check, "SKIPPED", skipped)
            continue
        result = outcome(check, *_attempt(entry, _check_fresh, check, entry, config, after=failed))
        failed = failed or (result.contract if result.status == "FAIL" else "")
        yield result


def _attempt(entry: Entry, check: Callable[..., Any], *args: Any, after: str = "") -> tuple[Status, str]:
    """Whether a check passes, and if not why; any exception of a component is reported, and the runner continues.

    ``after`` is a contract of the kind that failed: what raises something afterwards most likely stumbles over that.
    """
    try:
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(0)
            check(*args)
    except AssertionError as error:
        return "FAIL", _placed(entry, error, " ".join(str(error).split()) or "an assertion without a message")
    except Exception as error:
        if after:
            return "SKIPPED", f"mend {after} first"
        if sys.flags.dev_mode:
            traceback.print_exception(error)
        reason = error.reason if isinstance(error, PluginError) else _placed(entry, error, described(error))
        return "FAIL", reason
    return "PASS", ""


def _placed(entry: Entry, error: Exception, reason: str) -> str:
    """With file and line in a plug-in, unless the options that it was given are wrong."""
    if isinstance(error, ConfigError) or not is_foreign(entry.factory):
        return reason
    return f"{place_of(error) or where(entry.factory)}: {reason}"


def _check_fresh(check: Callable[..., None], entry: Entry, config: dict[str, Any]) -> None:
    component, arguments = _build(entry, config)
    check(component, **registry.named_by(check, arguments))


def _build(entry: Entry, config: dict[str, Any]) -> tuple[Any, Mapping[str, Any]]:
    """The component and the dependencies that it was built with."""
    spec: Component = resolve(entry.kind, {"name": entry.name, "config": config})
    choices = _dependencies.get(entry.kind, ({},))
    for number, arguments in enumerate(choices, 1):
        try:
            return registry.build(entry.kind, spec, **arguments), arguments
        except ConfigError:
            if number == len(choices):
                raise
    raise DataError(f"kind {entry.kind!r} declares no dependencies to build with")
