"""Options of components as frozen dataclasses, and the strict mapping -> dataclass conversion.

Every option is declared once, with its default, meaning and bounds:

    @dataclass(frozen=True, kw_only=True)
    class ConvAdapterConfig(Options):
        stride: int = option(2, "Frames per position.", minimum=1)
        init: Component = component("init", "normal", "How weights start.")

``structure`` turns plain data (from YAML) into such a dataclass and collects *every* fault instead
of stopping at the first; ``aista show`` prints the same declarations; ``Options`` enforces them in Python. Options may
be bool, int, float, str, Path, Literal, tuple, dict, dataclasses and unions of these.
"""

from __future__ import annotations

import copy
import dataclasses
import typing
from collections.abc import Collection, Mapping, Sequence
from dataclasses import MISSING, dataclass
from typing import Any, TypeVar

from aista import registry
from aista.convert import check_bounds, check_keys, convert, is_optional, join
from aista.errors import ConfigError, Fault, PluginError, RegistryError, shown
from aista.plugin_faults import constructing

__all__ = [
    "Component",
    "Options",
    "component",
    "components",
    "option",
    "required",
    "required_options",
    "resolve",
    "section",
    "structure",
]

T = TypeVar("T")
_HINTS: dict[type[Any], dict[str, Any]] = {}


class Options:
    """Base of dataclasses that declare options: types and bounds hold however an object is made.

    Values are converted as those of a config are: a list to a tuple, a whole number to a float where one is declared.
    A component may be given by its name, or as an object that is its own options: ``Sinkhorn()``.
    A rule that spans options goes into ``__post_init__`` as a ``ValueError``, after ``super().__post_init__()``.

    Raises:
        ValueError: from the constructor, naming each option with its rule and the value received.
    """

    def __post_init__(self) -> None:
        faults: list[Fault] = []
        hints = _hints(type(self))
        for field in dataclasses.fields(typing.cast(Any, self)):
            if field.init:
                value = _field(hints[field.name], field.metadata, getattr(self, field.name), field.name, faults)
                object.__setattr__(self, field.name, value)
        if faults:
            raise ValueError("; ".join(map(str, faults)))


@dataclass(frozen=True)
class Component(Options):
    """A registered component named by a config, with its structured options.

    A subclass may add options of the place where the component stands, written beside ``name``:

        @dataclass(frozen=True, kw_only=True)
        class WeightedLoss(Component):
            weight: float = option(1.0, "Factor of this loss.", minimum=0)
    """

    name: str
    config: Any = None


def option(
    default: T,
    help: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    above: float | None = None,
    below: float | None = None,
    choices: Sequence[object] | None = None,
    finite: bool = True,
    inherit: bool = True,
    weights: bool = True,
) -> T:
    """A dataclass field with a default, a meaning and bounds that ``structure`` and ``Options`` enforce.

    Numbers are finite unless ``finite`` is False. With ``inherit=False`` a pretraining stage does not take it over
    from the main config; the same holds for ``section`` and ``component``. ``weights=False`` says that the option
    changes neither the trained weights nor the choice of the best: runs that differ only in it are the same run.
    """
    bounds = {"minimum": minimum, "maximum": maximum, "above": above, "below": below, "choices": choices}
    metadata = {
        "help": help,
        "finite": finite,
        "inherit": inherit,
        "weights": weights,
        **{key: value for key, value in bounds.items() if value is not None},
    }
    if isinstance(default, dict):
        return dataclasses.field(default_factory=lambda: copy.copy(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def required(help: str, **bounds: Any) -> Any:
    """A dataclass field without a default: the config must give it. ``bounds`` as in ``option``.

    ``pretrained`` marks a path that may also be a name on the hub: its ``weights`` or its ``tokenizer`` are read.
    """
    unknown = set(bounds) - {"minimum", "maximum", "above", "below", "choices", "pretrained"}
    if unknown:
        raise TypeError(f"required() got unknown bounds {sorted(unknown)}")
    return dataclasses.field(metadata={"help": help, **bounds})


def section(kind: type[T], help: str, *, inherit: bool = True) -> T:
    """A nested dataclass whose own defaults apply where the config leaves it out."""
    return dataclasses.field(default_factory=kind, metadata={"help": help, "inherit": inherit, "section": kind})


def component(
    kind: str, default: str | None, help: str, *, type: type[Component] = Component, inherit: bool = True
) -> Any:
    """A field that holds one component of ``kind``: ``{name: ..., config: {...}}`` or just a name.

    With ``default=None`` the config must give it, unless the annotation allows None.
    """
    metadata = {"help": help, "inherit": inherit, "kind": kind, "type": type, "default": default}
    if default is None:
        return dataclasses.field(default=None, metadata=metadata)
    return dataclasses.field(default_factory=lambda: _default(kind, default, type), metadata=metadata)


def components(
    kind: str,
    help: str,
    *,
    default: Sequence[str] = (),
    type: type[Component] = Component,
    weights: bool = True,
) -> Any:
    """A field that holds a list of components of ``kind``: ``tuple[Component, ...]``; ``weights`` as in ``option``."""
    metadata = {
        "help": help,
        "kind": kind,
        "type": type,
        "default": tuple(default),
        "many": True,
        "weights": weights,
    }
    return dataclasses.field(
        default_factory=lambda: tuple(_default(kind, name, type) for name in default), metadata=metadata
    )


def structure(cls: type[T], data: Any, *, at: str = "", source: str = "config") -> T:
    """Convert plain data to the dataclass ``cls``, strictly.

    Args:
        cls: A dataclass whose fields are declared with ``option``, ``component`` and the like.
        data: A mapping as YAML gives it.
        at: Path of ``data`` in the whole config, for messages.
        source: Name of the file, for messages.

    Raises:
        ConfigError: with every fault: unknown keys, wrong types, values out of bounds, unknown
            components, missing required options.
    """
    faults: list[Fault] = []
    value = _dataclass(cls, data, at, faults)
    if faults:
        raise ConfigError(faults, source)
    return typing.cast(T, value)


def resolve(
    kind: str, data: Any, *, at: str = "", source: str = "config", type: type[Component] = Component
) -> Component:
    """One structured component from a name or ``{name: ..., config: {...}}``, ready for ``registry.build``.

    Raises:
        ConfigError: as ``structure``.
    """
    faults: list[Fault] = []
    value = _component(kind, data, at or kind, faults, type)
    if value is None or faults:
        raise ConfigError(faults, source)
    return value


def required_options(cls: type[Any]) -> dict[str, str]:
    """The options that a config must give, with their meanings."""
    return {
        field.name: field.metadata.get("help", "")
        for field in dataclasses.fields(cls)
        if field.init and _is_required(field, _hints(cls)[field.name])
    }


def _is_required(field: dataclasses.Field[Any], hint: Any) -> bool:
    if "kind" in field.metadata:
        return field.metadata["default"] is None and not is_optional(hint)
    return field.default is MISSING and field.default_factory is MISSING


def _hints(cls: type[Any]) -> dict[str, Any]:
    """The annotations of a dataclass, cached. Raises PluginError where one cannot be evaluated."""
    if cls not in _HINTS:
        try:
            _HINTS[cls] = typing.get_type_hints(cls)
        except NameError as error:
            raise PluginError(
                f"{cls.__module__}.{cls.__qualname__}: the type of an option must be known at run time, but {error}; "
                "import it outside `if TYPE_CHECKING`"
            ) from error
    return _HINTS[cls]


def _default(kind: str, name: str, cls: type[Component]) -> Component:
    return resolve(kind, name, type=cls)


def _dataclass(cls: type[Any], data: Any, at: str, faults: list[Fault]) -> Any:
    data = {} if data is None else data
    if isinstance(data, cls):
        return data
    if not isinstance(data, Mapping):
        faults.append(Fault(at, f"expects a mapping of options, got {shown(data)}"))
        return None
    before = len(faults)
    values = _values(cls, data, at, faults)
    if len(faults) > before:
        return None
    try:
        return cls(**values)
    except ValueError as error:
        faults.append(Fault(at, str(error)))
        return None


def _values(
    cls: type[Any], data: Mapping[str, Any], at: str, faults: list[Fault], own: Collection[str] = ()
) -> dict[str, Any]:
    """The values of ``cls``'s fields except those named ``own``, which the caller reads itself."""
    hints = _hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}
    check_keys(data, fields, at, faults, remedy=f"; options go under {at}.config" if own else "")
    values: dict[str, Any] = {}
    for name, field in fields.items():
        place, metadata = join(at, name), field.metadata
        if name in own:
            continue
        if name in data:
            values[name] = _field(hints[name], metadata, data[name], place, faults)
        elif "kind" in metadata and (metadata["default"] is not None or not is_optional(hints[name])):
            values[name] = _field(hints[name], metadata, metadata["default"], place, faults)
        elif field.default is MISSING and field.default_factory is MISSING:
            faults.append(Fault(place, "is required", metadata.get("help", "")))
        elif "section" in metadata:
            values[name] = _dataclass(metadata["section"], {}, place, faults)
    return values


def _field(hint: Any, metadata: Mapping[str, Any], data: Any, at: str, faults: list[Fault]) -> Any:
    if "kind" not in metadata:
        before = len(faults)
        value = convert(hint, data, at, faults, _dataclass)
        if len(faults) == before:
            check_bounds(value, metadata, at, faults)
        return value
    kind, cls = metadata["kind"], metadata["type"]
    if "many" in metadata:
        if not isinstance(data, (list, tuple)):
            faults.append(Fault(at, f"expects a list of {kind} components, got {shown(data)}"))
            return ()
        return tuple(_component(kind, item, f"{at}[{i}]", faults, cls) for i, item in enumerate(data))
    if data is None and is_optional(hint):
        return None
    if data is None:
        known = ", ".join(registry.names(kind)) or "none is registered"
        faults.append(Fault(at, "is required", f"{metadata['help']} Name a {kind}: {known}"))
        return None
    return _component(kind, data, at, faults, cls, metadata["default"])


def _component(
    kind: str, data: Any, at: str, faults: list[Fault], cls: type[Component], default: str | None = None
) -> Component | None:
    if isinstance(data, Options) and not isinstance(data, Component):
        data = {"name": registry.name_of(kind, type(data)) or data, "config": data}
    if isinstance(data, Component):
        data = {field.name: getattr(data, field.name) for field in dataclasses.fields(data)}
    data = {"name": data} if isinstance(data, str) else data
    name = data.get("name", default) if isinstance(data, Mapping) else None
    if not isinstance(name, str):
        faults.append(Fault(at, f"expects a {kind}: a name or {{name: ..., config: {{...}}}}, got {shown(data)}"))
        return None
    before = len(faults)
    beside = _values(cls, data, at, faults, own=("name", "config"))
    try:
        entry = registry.get(kind, name)
    except RegistryError as error:
        faults.append(Fault(join(at, "name"), str(error)))
        return None
    options, place = data.get("config"), join(at, "config")
    if entry.config is None and options:
        faults.append(Fault(place, f"{kind} {name!r} takes no options, got {shown(options)}"))
    with constructing(kind, entry.factory, entry.config):
        config = None if entry.config is None else _dataclass(entry.config, options, place, faults)
    return None if len(faults) > before else cls(name=name, config=config, **beside)
