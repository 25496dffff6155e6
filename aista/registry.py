"""The component registry: typed kinds, named components, plug-ins. Standard library only.

A component is a class or function registered with a frozen dataclass of its options::

    @register("adapter", "conv", config=ConvAdapterConfig)
    class ConvAdapter(Adapter):
        def __init__(self, config, *, input_dim, output_dim): ...

It is built as ``factory(config, **dependencies)``, named in the kind's summary, and imported when its kind is needed.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.machinery
import importlib.util
import inspect
import pkgutil
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import MISSING, dataclass, fields, is_dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol, TypeVar

from aista.errors import AistaError, ConfigError, Fault, PluginError, RegistryError

__all__ = ["Entry", "Kind", "build", "define_kind", "entries", "get", "kinds", "load_plugins", "nearest", "register"]
F = TypeVar("F", bound=Callable[..., Any])
ENTRY_POINT_GROUP = "aista.components"


@dataclass(frozen=True)
class Kind:
    """Interchangeable components, registered by ``package``; ``optional`` dependencies go to factories naming them."""

    name: str
    summary: str
    package: str = ""
    optional: tuple[str, ...] = ()


@dataclass(frozen=True)
class Entry:
    """One registered component. ``config`` is its options dataclass, or None if it takes none."""

    kind: str
    name: str
    factory: Callable[..., Any]
    config: type[Any] | None
    origin: str


class Spec(Protocol):
    """What a config holds for a component: a name and its structured options."""

    @property
    def name(self) -> str: ...
    @property
    def config(self) -> Any: ...


_kinds: dict[str, Kind] = {}
_entries: dict[tuple[str, str], Entry] = {}
_done: set[str] = set()  # packages, entry points and plug-in files that are imported or being so


def nearest(word: str, known: Iterable[str]) -> str:
    """`` (did you mean 'x'?)`` for the closest known word, or an empty string."""
    hit = difflib.get_close_matches(word, list(known), 1)
    return f" (did you mean {hit[0]!r}?)" if hit else ""


def define_kind(name: str, summary: str, package: str = "", optional: tuple[str, ...] = ()) -> None:
    """Add a kind. Raises RegistryError if it exists with another definition."""
    kind = Kind(name, summary, package, optional)
    if _kinds.setdefault(name, kind) != kind:
        raise RegistryError(f"kind {name!r} is already defined as {_kinds[name].summary!r}")


def register(kind: str, name: str, *, config: type[Any] | None = None) -> Callable[[F], F]:
    """Register the decorated class or function. Raises RegistryError, e.g. for a taken name (says by whom)."""
    _kind(kind)
    if config is not None and not (isinstance(config, type) and is_dataclass(config)):
        raise RegistryError(f"{kind} {name!r}: config must be a dataclass, got {config!r}")

    def decorate(factory: F) -> F:
        origin = f"{factory.__module__}.{factory.__qualname__}"
        taken = _entries.get((kind, name))
        if taken is not None and taken.origin != origin:
            raise RegistryError(f"{kind} {name!r} is already registered by {taken.origin}; {origin} needs another name")
        own = factory if isinstance(factory, type) and is_dataclass(factory) else None
        _entries[kind, name] = Entry(kind, name, factory, config or own, origin)
        return factory

    return decorate


def kinds() -> list[Kind]:
    """All kinds, by name."""
    importlib.import_module("aista.kinds")
    return sorted(_kinds.values(), key=lambda kind: kind.name)


def entries(kind: str) -> list[Entry]:
    """All components of a kind, by name, the installed plug-ins' among them."""
    _import_components(_kind(kind))
    return sorted((entry for entry in _entries.values() if entry.kind == kind), key=lambda entry: entry.name)


def get(kind: str, name: str) -> Entry:
    """The component ``name`` of ``kind``. Raises RegistryError naming what is known."""
    known = [entry.name for entry in entries(kind)]
    if name not in known:
        raise RegistryError(f"unknown {kind} {name!r}{nearest(name, known)}; known: {', '.join(known) or 'none'}")
    return _entries[kind, name]


def build(kind: str, spec: Spec, *, at: str = "", **dependencies: Any) -> Any:
    """Build the component that ``spec`` (a structured ``Component`` node of a config) names.

    ``at`` is its place in the config; ``dependencies`` are what the kind passes beside the options. A ``spec.config``
    of None means the defaults. Raises ConfigError: unknown name, bad or missing options.
    """
    place = at or kind
    try:
        entry = get(kind, spec.name)
    except RegistryError as error:
        raise ConfigError([Fault(f"{place}.name", str(error))]) from None
    if entry.config is not None and not isinstance(spec.config, (entry.config, type(None))):
        raise TypeError(f"{place}.config: expects {entry.config.__name__}, got {spec.config!r}; see schema.resolve")
    options = spec.config
    if options is None and entry.config is not None:
        gaps = [f.name for f in fields(entry.config) if f.init and f.default is MISSING is f.default_factory]
        if gaps:
            raise ConfigError([Fault(f"{place}.config.{name}", "is required") for name in gaps])
        options = entry.config()
    if entry.config is entry.factory:
        return options
    named = inspect.signature(entry.factory).parameters
    passed = {key: x for key, x in dependencies.items() if key in named or key not in _kinds[kind].optional}
    try:
        return entry.factory(*(() if entry.config is None else (options,)), **passed)
    except ValueError as error:
        raise ConfigError([Fault(f"{place}.config", str(error))]) from error


def load_plugins(files: Iterable[str | Path], base: Path | None = None) -> None:
    """Import plug-in files (paths relative to ``base``), which register their components. Raises PluginError."""
    for file in files:
        path = Path(base or Path.cwd(), file).resolve()
        if not path.is_file() or path.suffix != ".py":
            raise PluginError(f"plug-in {str(file)!r}: must be a Python file (.py), found none at {path}")
        name = f"aista_plugin_{path.stem}_{zlib.crc32(str(path).encode()):08x}"
        with _once(str(path), f"plug-in {str(file)!r}") as is_first:
            if is_first:
                loader = importlib.machinery.SourceFileLoader(name, str(path))
                spec = importlib.util.spec_from_loader(name, loader)
                assert spec is not None
                sys.modules[name] = importlib.util.module_from_spec(spec)
                loader.exec_module(sys.modules[name])


@contextmanager
def _once(key: str, plugin: str = "") -> Iterator[bool]:
    """Whether ``key`` is new. A failed import is forgotten, so that the next try fails too instead of finding gaps."""
    is_first = key not in _done
    _done.add(key)
    try:
        yield is_first
    except BaseException as error:
        _done.discard(key)
        if not plugin or not isinstance(error, (Exception, SystemExit)):
            raise
        reason = str(error) if isinstance(error, AistaError) else f"{type(error).__name__}: {error}"
        raise PluginError(f"{plugin} failed to load: {reason}") from error


def _kind(name: str) -> Kind:
    kinds()
    if name not in _kinds:
        raise RegistryError(f"unknown kind {name!r}{nearest(name, _kinds)}; known: {', '.join(sorted(_kinds))}")
    return _kinds[name]


def _import_components(kind: Kind) -> None:
    with _once(kind.package) as is_first:
        if kind.package and is_first:
            package = importlib.import_module(kind.package)
            for module in pkgutil.iter_modules(getattr(package, "__path__", ())):
                if not module.name.startswith("_") and not module.ispkg:
                    importlib.import_module(f"{kind.package}.{module.name}")
    with _once(ENTRY_POINT_GROUP) as is_first:
        for point in entry_points(group=ENTRY_POINT_GROUP) if is_first else ():
            owner = point.dist.name if point.dist else "an unknown distribution"
            with _once(f"{owner}:{point.name}", f"entry point {point.name!r} of {owner} ({point.value})"):
                loaded = point.load()
                if inspect.isfunction(loaded):
                    loaded()
