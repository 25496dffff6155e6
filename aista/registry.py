"""The component registry: typed kinds, named components, plug-ins. Standard library only.

A component is a dataclass, which is its own options, or a factory that names the dataclass of its options:

    @register("ot_solver", "sinkhorn")
    @dataclass(frozen=True, kw_only=True)
    class Sinkhorn(Options): ...
    @register("adapter", "conv", config=ConvAdapterConfig)
    class ConvAdapter(Adapter): ...

``get`` imports only the module of the component asked for; names and summaries are read from source text.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

from aista import extras, plugins
from aista.declarations import Declaration, check_component, declarations
from aista.errors import ConfigError, Fault, RegistryError
from aista.kinds import KINDS
from aista.plugin_faults import constructing, place_of, source_of, taken_by

__all__ = [
    "Entry",
    "build",
    "entries",
    "get",
    "load_plugins",
    "name_of",
    "named_by",
    "names",
    "nearest",
    "options",
    "register",
    "summaries",
]
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Entry:
    """One registered component. ``config`` is its options dataclass, or None if it takes none."""

    kind: str
    name: str
    factory: Callable[..., Any]
    config: type[Any] | None
    origin: str

    @property
    def options(self) -> list[Field[Any]]:
        """The fields that a config can give."""
        return [field for field in fields(self.config) if field.init] if self.config else []


class Spec(Protocol):
    """A component in a config: its name and structured options."""

    @property
    def name(self) -> str: ...
    @property
    def config(self) -> Any: ...


_entries: dict[tuple[str, str], Entry] = {}


def nearest(word: str, known: Iterable[str]) -> str:
    """`` (did you mean 'x'?)`` for the known word closest to the first 100 characters, or an empty string."""
    return "".join(f" (did you mean {hit!r}?)" for hit in difflib.get_close_matches(word[:100], list(known), 1))


def register(kind: str, name: str, *, config: type[Any] | None = None) -> Callable[[F], F]:
    """Register the decorated class or function. Raises RegistryError, e.g. for a taken name (says by whom)."""
    built_in = _built_in(kind).get(name)
    if config is not None and not (isinstance(config, type) and is_dataclass(config)):
        raise RegistryError(f"{kind} {name!r}: config must be a dataclass, got {config!r}")

    def decorate(factory: F) -> F:
        check_component(kind, name, factory, has_config=config is not None)
        origin = f"{factory.__module__}.{factory.__qualname__}"
        taken = _entries.get((kind, name)) or built_in
        if taken is not None and source_of(taken.origin) != source_of(origin):
            owner = taken_by(taken.origin, getattr(taken, "factory", None))
            raise RegistryError(f"{kind} {name!r} is {owner}; register {factory.__qualname__} under another name")
        own: Any = factory if is_dataclass(factory) else None
        _entries[kind, name] = Entry(kind, name, factory, config or own, origin)
        return factory

    return decorate


def get(kind: str, name: str) -> Entry:
    """The component ``name`` of ``kind``. Raises RegistryError if it is unknown (lists names) or cannot be imported."""
    if (kind, name) not in _entries and name in _built_in(kind):
        module = _built_in(kind)[name].module
        try:
            importlib.import_module(module)
        except ImportError as error:
            if (error.name or "").startswith("aista"):
                raise
            raise RegistryError(f"{kind} {name!r} ({module}) {extras.explain(error)}") from error
    if (kind, name) not in _entries and name not in (known := names(kind)):
        hint = nearest(name.replace("+", "_plus"), known)  # chrf++ is chrf_plus_plus: names are identifiers
        raise RegistryError(f"unknown {kind} {name!r}{hint}; known: {', '.join(known) or 'none'}")
    return _entries[kind, name]


def name_of(kind: str, factory: type[Any]) -> str:
    """The name under which a class is registered, or an empty string."""
    return next((entry.name for entry in _entries.values() if entry.kind == kind and entry.factory is factory), "")


def names(kind: str) -> list[str]:
    """The names of all components of a kind, sorted, including those of plug-ins."""
    return list(summaries(kind))


def summaries(kind: str) -> dict[str, str]:
    """The one-line summary of each component of a kind, by name. Imports only installed plug-ins."""
    lines = {name: declaration.summary for name, declaration in _built_in(kind).items()}
    plugins.load_entry_points()
    for entry in _entries.values():
        if entry.kind == kind and entry.name not in lines:
            lines[entry.name] = (inspect.getdoc(entry.factory) or "(no description)").partition("\n")[0]
    return dict(sorted(lines.items()))


def options(kind: str, name: str) -> tuple[str, ...]:
    """The names of the options of a component that ``names`` lists. Imports nothing."""
    if name in _built_in(kind):
        return _built_in(kind)[name].options
    return tuple(field.name for field in _entries[kind, name].options)


def entries(kind: str) -> list[Entry]:
    """All components of a kind, by name. Imports each of them."""
    return [get(kind, name) for name in names(kind)]


def build(kind: str, spec: Spec, *, at: str = "", **dependencies: Any) -> Any:
    """Build the component that ``spec`` (a structured ``Component`` node of a config) names.

    ``at`` is its place in the config; ``dependencies`` go to factories that name them. Without a ``spec.config`` the
    defaults apply. Raises ConfigError: unknown name, bad or missing options, also of nested components;
    PluginError: a plug-in's component cannot be constructed.
    """
    place = at or kind
    try:
        entry = get(kind, spec.name)
    except RegistryError as error:
        raise ConfigError([Fault(f"{place}.name", str(error))]) from None
    if entry.config is not None and not isinstance(spec.config, (entry.config, type(None))):
        raise TypeError(f"{place}.config: expects {entry.config.__name__}, got {spec.config!r}; see schema.resolve")
    options = spec.config
    needed = entry.options if options is None else []
    if gaps := [field.name for field in needed if field.default is MISSING is field.default_factory]:
        raise ConfigError([Fault(f"{place}.config.{gap}", "is required") for gap in gaps])
    passed = named_by(entry.factory, dependencies)
    try:
        with constructing(kind, entry.factory, entry.config):
            if options is None and entry.config is not None:
                options = entry.config()
            if entry.config is entry.factory:
                return options
            return entry.factory(*(() if entry.config is None else (options,)), **passed)
    except ConfigError as error:  # of a component within its config
        raise ConfigError([replace(fault, path=f"{place}.config.{fault.path}") for fault in error.faults]) from error
    except ValueError as error:
        line = place_of(error)
        raise ConfigError([Fault(f"{place}.config", f"{error}{f' ({line})' if line else ''}")]) from error


def named_by(function: Callable[..., Any], dependencies: Mapping[str, Any]) -> dict[str, Any]:
    """The dependencies that are parameters of a function; all of them if it takes ``**``."""
    parameters = inspect.signature(function).parameters if dependencies else {}  # slow, and solvers build costs often
    takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    return {key: value for key, value in dependencies.items() if takes_all or key in parameters}


def load_plugins(files: Iterable[str | Path], base: Path | None = None) -> list[Entry]:
    """Import plug-in files (paths relative to ``base``) and return what they registered. Raises PluginError."""
    modules = plugins.load_files(files, base)
    return [entry for entry in _entries.values() if entry.factory.__module__ in modules]


def _built_in(kind: str) -> dict[str, Declaration]:
    if kind not in KINDS:
        raise RegistryError(f"unknown kind {kind!r}{nearest(kind, KINDS)}; known: {', '.join(sorted(KINDS))}")
    return declarations(kind, KINDS[kind].package)
