"""What a package's source text declares: the components registered in it, found without importing any."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["Declaration", "declarations"]


@dataclass(frozen=True)
class Declaration:
    """A class or function below ``@register("kind", "name")``. ``summary`` is its docstring's first line."""

    module: str
    qualname: str
    summary: str

    @property
    def origin(self) -> str:
        """As in ``registry.Entry.origin``."""
        return f"{self.module}.{self.qualname}"


@cache
def declarations(kind: str, package: str) -> dict[str, Declaration]:
    """The components of a kind that the modules of a package, or one module, declare at their top level, by name.

    Files that do not parse are passed over: importing them says what is wrong.
    """
    return {
        name: Declaration(module, node.name, (ast.get_docstring(node) or "(no description)").partition("\n")[0])
        for module, file in _modules(package)
        for name, node in _registered(kind, file)
    }


def _modules(package: str) -> Iterator[tuple[str, Path]]:
    root, _, rest = package.partition(".")
    place = Path(importlib.import_module(root).__path__[0], *rest.split("."))
    if place.is_dir():
        yield from ((f"{package}.{file.stem}", file) for file in sorted(place.glob("*.py")))
    else:
        yield package, place.with_suffix(".py")


def _registered(kind: str, file: Path) -> Iterator[tuple[str, ast.ClassDef | ast.FunctionDef]]:
    source = file.read_text(encoding="utf-8")
    if "@register(" not in source:
        return
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return
    for node in tree.body:
        for decorator in node.decorator_list if isinstance(node, (ast.ClassDef, ast.FunctionDef)) else ():
            match decorator:
                case ast.Call(func=ast.Name("register"), args=[ast.Constant(found), ast.Constant(str(name))]):
                    if found == kind and isinstance(node, (ast.ClassDef, ast.FunctionDef)):
                        yield name, node
