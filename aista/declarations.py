"""Find components and their options in the source text of a package, without importing it."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from dataclasses import Field, dataclass, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any

from aista.errors import PluginError, RegistryError

__all__ = ["Declaration", "check_component", "declarations"]

_FIELDS = ("option", "required", "section", "component", "components")  # of aista.schema


@dataclass(frozen=True)
class Declaration:
    """A class or function below ``@register("kind", "name")``.

    Attributes:
        module: Module that defines it.
        qualname: Its name there.
        summary: The first line of its docstring.
        config: The class that declares its options.
    """

    module: str
    qualname: str
    summary: str
    config: str

    @property
    def origin(self) -> str:
        """As in ``registry.Entry.origin``."""
        return f"{self.module}.{self.qualname}"

    @property
    def options(self) -> tuple[str, ...]:
        """Names of its options, in the order of their declaration."""
        return _options(self.module, self.config)


def check_component(kind: str, name: object, factory: Any, *, has_config: bool) -> None:
    """Raise RegistryError for an object that cannot be a component, or whose options would be lost."""
    if not isinstance(name, str) or not name.isidentifier():
        raise RegistryError(f"a {kind} must be registered under an identifier, as a file is named; got {name!r}")
    if not hasattr(factory, "__qualname__"):
        raise RegistryError(f"{kind} {name!r} must be a class or a function, got {factory!r}")
    own = vars(factory) if isinstance(factory, type) else {}
    declares = is_dataclass(factory) or any(isinstance(value, Field) for value in own.values())
    if declares and not has_config and "__dataclass_params__" not in own:
        raise RegistryError(
            f"{kind} {name!r}: put @dataclass(frozen=True, kw_only=True) between @register and the class"
        )


@cache
def declarations(kind: str, package: str) -> dict[str, Declaration]:
    """The components of a kind that the modules of a package, or one module, declare at their top level, by name.

    Raises:
        PluginError: a file does not parse.
    """
    place = _place(package)
    modules = [f"{package}.{file.stem}" for file in sorted(place.glob("*.py"))] if place.is_dir() else [package]
    return {name: declaration for module in modules for name, declaration in _registered(kind, module)}


def _registered(kind: str, module: str) -> Iterator[tuple[str, Declaration]]:
    for node in _tree(module).body if "register(" in _source(module) else ():
        for decorator in node.decorator_list if isinstance(node, (ast.ClassDef, ast.FunctionDef)) else ():
            match node, decorator:
                case (
                    ast.ClassDef(name=own) | ast.FunctionDef(name=own),
                    ast.Call(
                        func=ast.Name("register") | ast.Attribute(attr="register"),
                        args=[ast.Constant(found), ast.Constant(str(name))],
                    ),
                ) if found == kind:
                    config = [keyword.value.id for keyword in decorator.keywords if isinstance(keyword.value, ast.Name)]
                    summary = (ast.get_docstring(node) or "(no description)").partition("\n")[0]
                    yield name, Declaration(module, own, summary, *(config or [own]))


def _options(module: str, cls: str) -> tuple[str, ...]:
    """The options that a class declares or inherits from classes of the package."""
    for node in _tree(module).body:
        if isinstance(node, ast.ClassDef) and node.name == cls:
            inherited = [
                name for base in node.bases if isinstance(base, ast.Name) for name in _options(module, base.id)
            ]
            own = [
                line.target.id
                for line in node.body
                if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name) and _declares(line.value)
            ]
            return tuple(dict.fromkeys((*inherited, *own)))
        if (
            isinstance(node, ast.ImportFrom)
            and node.module
            and node.module.partition(".")[0] == module.partition(".")[0]
        ):
            for alias in node.names:
                if cls == (alias.asname or alias.name):
                    return _options(node.module, alias.name)
    return ()


def _declares(value: ast.expr | None) -> bool:
    return isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id in _FIELDS


def _place(module: str) -> Path:
    """The folder of a package, or the file of a module without its ending; only the root package is imported."""
    root, *rest = module.split(".")
    return Path(importlib.import_module(root).__path__[0], *rest)


@cache
def _source(module: str) -> str:
    place = _place(module)
    file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    return file.read_text(encoding="utf-8")


@cache
def _tree(module: str) -> ast.Module:
    try:
        return ast.parse(_source(module))
    except SyntaxError as error:
        raise PluginError(f"{module}: does not parse ({error})") from error
