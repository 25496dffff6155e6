"""``aista check FILE|KIND/NAME|NAME...``: the public contract tests of a component's kind."""

from __future__ import annotations

import argparse
from collections import Counter

from aista import registry
from aista.cli.arguments import add_plugin_argument
from aista.config import apply_overrides
from aista.console import say
from aista.errors import PluginError, RegistryError
from aista.kinds import KINDS
from aista.registry import Entry


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "target",
        nargs="+",
        metavar="TARGET",
        help="a plug-in file (all it registers), KIND/NAME as in ot_solver/sinkhorn, or NAME where one kind has it",
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
    chosen = [entry for target in args.target for entry in _components(target)]
    from aista.testing import contracts  # torch, so not before the targets are known to exist

    counts: Counter[str] = Counter()
    for entry in chosen:
        for outcome in contracts.run(entry.kind, entry.name, options):
            say(outcome)
            counts[outcome.status] += 1
    say(f"{counts['PASS']} passed, {counts['FAIL']} failed, {counts['SKIPPED']} skipped")
    return 1 if counts["FAIL"] else 0


def _components(target: str) -> list[Entry]:
    if not target.endswith(".py"):
        return [_find(target)]
    registered = registry.load_plugins([target])
    if not registered:
        raise PluginError(f"plug-in {target!r} registers no component; decorate one with aista.registry.register")
    return registered


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
    raise RegistryError(f"no component is named {text!r}{hint}; see aista list")
