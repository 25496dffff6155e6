"""Plain texts and options as Markdown."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Mapping

from aista.describe import OptionText

__all__ = ["escaped", "option_lines", "reference"]

_CODE = re.compile(r"(`+[^`]+`+)")


def escaped(text: str) -> str:
    """Escape a text for Markdown, except code between backticks."""
    parts = _CODE.split(text)
    for place, prose in enumerate(parts[::2]):
        shown = html.escape(prose, quote=False).replace("|", "&#124;")  # which would end a table's cell
        parts[2 * place] = re.sub(r"([\\*_\[\]{}])", r"\\\1", shown)
    return "".join(parts)


def reference(origin: str, options: Mapping[str, object]) -> list[str]:
    """The lines by which mkdocstrings puts an object's documentation into a page."""
    shown = [
        f"      {name}: {str(value).lower() if isinstance(value, bool) else value}" for name, value in options.items()
    ]
    return [f"::: {origin}", "    options:", *shown, ""]


def option_lines(options: Iterable[OptionText], components: Mapping[str, str], indent: str = "") -> Iterator[str]:
    """A definition list of options; ``components`` are links to the components of each kind."""
    for option in options:
        yield from (f"{indent}**`{option.name}`** `{option.value}`", "")
        known = f" One of: {components[option.kind]}." if option.kind else ""
        yield from (f"{indent}:   {escaped(option.meaning)}{known}", "")
        if option.beside:
            yield from (f"{indent}    Beside the name:", "")
            yield from option_lines(option.beside, components, indent + "    ")
        yield from option_lines(option.within, components, indent + "    ")
