"""The reference of components, from the registry: a page for each kind, and one for the keys of a config."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence

from aista import registry
from aista.config import dump_yaml
from aista.describe import config_node, option_texts
from aista.kinds import KINDS, Kind
from aista.registry import Entry
from aista.runs.ablation.variants import AblationConfig
from aista.tasks.experiment import Sections
from tools.site.markdown import escaped, option_lines, reference

__all__ = ["built_in", "component_pages", "config_page", "undocumented"]

_DOCSTRING = {
    "show_root_heading": False,
    "show_root_toc_entry": False,
    "members": False,
    "show_bases": False,
    "show_source": False,
    "show_docstring_attributes": False,
}


def built_in(kind: str) -> list[Entry]:
    """The components of a kind that come with aista, by name."""
    return [entry for entry in registry.entries(kind) if entry.origin.startswith("aista.")]


def undocumented(entries: Sequence[Entry]) -> list[str]:
    """Missing documentation: a docstring, when to choose the component, or an option's meaning."""
    found = []
    for entry in entries:
        text = inspect.getdoc(entry.factory) or ""
        if not text:
            found.append(f"{entry.kind} {entry.name} ({entry.origin}): no docstring")
        elif "choose" not in text.lower():
            found.append(f"{entry.kind} {entry.name} ({entry.origin}): its docstring does not say when to choose it")
        found += [
            f"{entry.kind} {entry.name}: option {field.name} has no meaning"
            for field in entry.options
            if not field.metadata.get("help")
        ]
    return found


def component_pages() -> dict[str, str]:
    """``KIND.md`` -> its text, of every kind, and ``index.md`` with all kinds.

    Raises:
        ValueError: a component lacks a part of its documentation; all are named.
    """
    entries = {kind: built_in(kind) for kind in KINDS}
    missing = undocumented([entry for group in entries.values() for entry in group])
    if missing:
        raise ValueError("components without documentation:\n" + "\n".join(missing))
    links = _links("")
    pages = {f"{kind}.md": "\n".join(_kind(KINDS[kind], entries[kind], links)) for kind in KINDS}
    rows = [
        f"| [`{kind}`]({kind}.md) | {escaped(KINDS[kind].summary)} | {len(entries[kind])} |" for kind in sorted(KINDS)
    ]
    pages["index.md"] = "\n".join(
        ["# Components", "", _INDEX, "", "| kind | what it does | components |", "|---|---|---:|", *rows]
    )
    return pages


_INDEX = (
    "Each kind with its components, their options, types, defaults and bounds, as the registry of this version has "
    "them. `aista list KIND` and `aista show KIND NAME` print the same, of plug-ins too."
)


def _kind(kind: Kind, entries: Sequence[Entry], links: Mapping[str, str]) -> Iterator[str]:
    yield from (f"# {kind.name}", "", escaped(kind.summary), "")
    summaries = registry.summaries(kind.name)
    yield from ("| component | |", "|---|---|")
    yield from (f"| [`{entry.name}`](#{entry.name}) | {escaped(summaries[entry.name])} |" for entry in entries)
    yield ""
    for entry in entries:
        yield from (f"## {entry.name}", "")
        yield from reference(entry.origin, _DOCSTRING)
        if entry.config is not None:
            yield from ("**Options**", "")
            yield from option_lines(option_texts(entry.config), links)
        yield from ("```yaml", dump_yaml(config_node(entry)).rstrip(), "```", "")


def _links(folder: str) -> dict[str, str]:
    """Links to the components of each kind from a page whose folder holds theirs in ``folder``."""
    return {
        kind: ", ".join(f"[{entry.name}]({folder}{kind}.md#{entry.name})" for entry in built_in(kind)) for kind in KINDS
    }


def config_page() -> str:
    """The keys of an experiment's config that every task shares, and those of an ablation file."""
    links = _links("components/")
    lines = ["# Config", "", _CONFIG, "", "## Experiment", ""]
    lines += option_lines(option_texts(Sections), links)
    lines += ["## Ablation", "", "The keys of an ablation file, for `aista ablate`: [ablation.md](../ablation.md).", ""]
    lines += option_lines(option_texts(AblationConfig), links)
    return "\n".join(lines)


_CONFIG = (
    "The keys of a config with type, default, bounds and meaning. The keys of a task stand beside them at the top "
    "level: [task](components/task.md). How to write a config: [config.md](../config.md)."
)
