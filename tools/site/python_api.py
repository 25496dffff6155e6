"""The reference of Python names in the modules that documentation, examples or templates import."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterable
from types import ModuleType

from tools.site.markdown import reference

__all__ = ["imported_modules", "module_page", "public_names"]

_IMPORT = re.compile(r"^ *(?:from (aista(?:\.\w+)*) import|import (aista(?:\.\w+)*)$)", re.MULTILINE)


def imported_modules(texts: Iterable[str]) -> list[str]:
    """The modules of aista that code in these texts imports from, sorted."""
    return sorted({first or second for text in texts for first, second in _IMPORT.findall(text)})


def public_names(module: ModuleType) -> dict[str, str]:
    """Each public name with the place of its definition; names from other packages are left out.

    Raises:
        ValueError: the module does not say what is public, or a name has no docstring.
    """
    if not hasattr(module, "__all__"):
        raise ValueError(f"{module.__name__}: documentation imports it, so it needs __all__")
    places = {}
    for name in module.__all__:
        value = getattr(module, name)
        described = inspect.isclass(value) or inspect.isroutine(value)
        if described and not value.__doc__:
            raise ValueError(f"{module.__name__}.{name}: public and without a docstring")
        places[name] = f"{value.__module__}.{value.__qualname__}" if described else f"{module.__name__}.{name}"
    return {name: place for name, place in places.items() if not name.startswith("__")}


def module_page(name: str) -> str:
    """A module's page: its docstring and its public names.

    Raises:
        ValueError: as ``public_names``.
    """
    module = importlib.import_module(name)
    lines = [
        f"# {name}",
        "",
        *reference(name, {"members": False, "show_root_heading": False, "show_root_toc_entry": False}),
    ]
    for short, place in public_names(module).items():
        lines += [
            f"## {short}",
            "",
            *reference(place, {"show_root_heading": False, "show_root_toc_entry": False, "heading_level": 3}),
        ]
    return "\n".join(lines)
