"""``aista check FILE|KIND/NAME|NAME...``: the public contract tests of a component's kind."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from aista import registry
from aista.cli.arguments import add_plugin_argument
from aista.config import apply_overrides
from aista.console import say
from aista.errors import PluginError, RegistryError
from aista.kinds import KINDS
from aista.registry import Entry

if TYPE_CHECKING:
    from aista.testing.contracts import Outcome


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "target",
        nargs="+",
        metavar="TARGET",
        help="a plug-in file (all its components), KIND/NAME as in ot_solver/sinkhorn, or NAME if it is unambiguous",
    )
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="an option of the component, e.g. --set path=models/whisper-small",
    )
    add_plugin_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Print one PASS, FAIL or SKIPPED line per contract and a count; 1 if any failed."""
    registry.load_plugins(args.plugin)
    options = apply_overrides({}, args.set)
    named = {target: [] if target.endswith(".py") else [_find(target)] for target in args.target}
    from aista.testing import contracts  # torch, so not before the targets are known to exist

    counts: Counter[str] = Counter()
    for target, chosen in named.items():
        try:
            chosen = chosen or _registered(target)
        except PluginError as error:
            say(f"FAIL    {target} loads: {error.reason}")
            counts["FAIL"] += 1
            if sys.flags.dev_mode:
                traceback.print_exception(error)
        for entry in chosen:
            outcomes = contracts.run(entry.kind, entry.name, options)
            counts.update(outcome.status for outcome in outcomes)
            for line in _lines(outcomes):
                say(line)
    say(f"{counts['PASS']} passed, {counts['FAIL']} failed, {counts['SKIPPED']} skipped")
    return 1 if counts["FAIL"] else 0


def _registered(file: str) -> list[Entry]:
    """Components that a plug-in file registers. Raises PluginError if it cannot be loaded, or registers nothing."""
    registered = registry.load_plugins([file])
    if not registered:
        raise PluginError("registers no component; decorate one with aista.registry.register")
    return registered


def _lines(outcomes: Iterable[Outcome]) -> Iterator[str]:
    """A line per outcome; contracts that fail for the same reason share one."""
    by_reason: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        by_reason.setdefault(outcome.reason or outcome.contract, []).append(outcome)
    for alike in by_reason.values():
        yield str(replace(alike[0], contract=", ".join(outcome.contract for outcome in alike)))


def _find(text: str) -> Entry:
    """The component that ``KIND/NAME`` or an unambiguous ``NAME`` means.

    Raises:
        RegistryError: there is none, or several kinds have one of that name.
    """
    kind, slash, name = text.partition("/")
    if slash:
        return registry.get(kind, name)
    known = {kind: registry.names(kind) for kind in sorted(KINDS)}
    hits = [kind for kind, names in known.items() if text in names]
    if len(hits) == 1:
        return registry.get(hits[0], text)
    if hits:
        choices = ", ".join(f"{kind}/{text}" for kind in hits)
        raise RegistryError(f"{text!r} is the name of several components; choose one of {choices}")
    hint = registry.nearest(text, {name for names in known.values() for name in names})
    hint = f" (did you mean {text}.py?)" if Path(f"{text}.py").is_file() else hint
    raise RegistryError(f"no component is named {text!r}{hint}; see aista list")
