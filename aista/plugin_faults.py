"""Report faults of plug-ins: one PluginError with file and line, in place of a traceback."""

from __future__ import annotations

import inspect
import os
import sys
import traceback
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

from aista.errors import AistaError, PluginError
from aista.kinds import KINDS

__all__ = [
    "FILE_MODULE",
    "PACKAGES",
    "blame",
    "constructing",
    "described",
    "is_foreign",
    "place_of",
    "shown_file",
    "source_of",
    "taken_by",
    "where",
]

FILE_MODULE = "aista_plugin_"
"""Prefix of the module names under which plug-in files are imported."""
PACKAGES: set[str] = set()
"""Installed packages that offer components by entry points."""


class Place(NamedTuple):
    """A line of a plug-in; ``file`` is relative to the current folder where it lies below it."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


def blame(error: BaseException) -> PluginError | None:
    """Turn an exception into an error of the plug-in in its traceback; None where there is no plug-in in it."""
    place = place_of(error)
    return None if place is None else PluginError(f"{place}: {described(error)}", check=place.file)


def place_of(error: BaseException | None) -> Place | None:
    """The innermost line of a plug-in in the traceback of an exception or its cause; for bad syntax, that line."""
    while error is not None:
        if isinstance(error, SyntaxError) and error.filename and os.path.isfile(error.filename):
            return Place(shown_file(error.filename), error.lineno or 0)
        frames = list(traceback.walk_tb(error.__traceback__))
        for frame, line in reversed(frames):
            module = str(frame.f_globals.get("__name__", ""))
            if module.startswith(FILE_MODULE) or module.partition(".")[0] in PACKAGES:
                return Place(shown_file(frame.f_code.co_filename), line)
        error = error.__cause__
    return None


def described(error: BaseException) -> str:
    """Type and text of an exception on one line; of aista's own errors the text alone."""
    text = " ".join((error.msg if isinstance(error, SyntaxError) else str(error)).split())
    if isinstance(error, AistaError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


@contextmanager
def constructing(kind: str, factory: Callable[..., Any], config: type[Any] | None) -> Iterator[None]:
    """Raise PluginError where the block fails to construct a plug-in's component; errors about options pass through.

    The message gives the signature that the kind requires.

    Args:
        kind: Its kind.
        factory: The registered class or function.
        config: The dataclass of its options, if any.
    """
    try:
        yield
    except (AistaError, ValueError):
        raise
    except Exception as error:
        if not is_foreign(factory):
            raise
        raise _unbuildable(kind, factory, config, error) from error


def _unbuildable(kind: str, factory: Callable[..., Any], config: type[Any] | None, error: Exception) -> PluginError:
    place, name = place_of(error) or where(factory), factory.__name__
    problem = f"cannot be built: {described(error)}"
    if missing := sorted(getattr(factory, "__abstractmethods__", ())):
        problem = f"lacks {' and '.join(_declared(factory, method) for method in missing)}"
    asked = f"kind {kind} asks for {_call(factory, config, KINDS[kind].dependencies)}"
    return PluginError(f"{place}: {name} {problem}; {asked}", check=place.file)


def source_of(origin: str) -> str:
    """File and name of a registered ``MODULE.NAME``, the same however the file was imported."""
    module, _, name = origin.rpartition(".")
    return f"{getattr(sys.modules.get(module), '__file__', module)}:{name}"


def taken_by(origin: str, factory: Callable[..., Any] | None) -> str:
    """Describe the earlier registration of a name; ``factory`` is None for an aista component not yet imported."""
    if factory is None or not is_foreign(factory):
        return f"a component of aista itself ({origin})"
    return f"already registered by {where(factory)} ({factory.__qualname__})"


def where(factory: Callable[..., Any]) -> Place:
    """The line that a class or function begins at."""
    try:
        file, line = inspect.getsourcefile(factory), inspect.getsourcelines(factory)[1]
    except (OSError, TypeError):  # made in an interpreter
        return Place(factory.__module__, 0)
    return Place(shown_file(file or factory.__module__), line)


def is_foreign(factory: Callable[..., Any]) -> bool:
    """Whether a component comes from a plug-in."""
    return factory.__module__.partition(".")[0] != "aista"


def shown_file(path: str | Path) -> str:
    """A file as messages name it."""
    short = os.path.relpath(path)
    return str(path) if short.startswith(os.pardir) else short


def _call(factory: Callable[..., Any], config: type[Any] | None, dependencies: Collection[str]) -> str:
    if config is factory:
        names = [field.name for field in fields(config) if field.init]
        return f"`{factory.__name__}({', '.join(['*', *names] if names else [])})`"
    parameters = [f"config: {config.__name__}"] if config else []
    parameters += ["*", *dependencies] if dependencies else []
    advice = ", where it may leave out keywords that it does not need" if dependencies else ""
    return f"`{factory.__name__}({', '.join(parameters)})`{advice}"


def _declared(factory: Callable[..., Any], name: str) -> str:
    """An abstract method or property as its base declares it."""
    method = getattr(factory, name)
    if isinstance(method, property):
        return f"the property `{name}`"
    return f"`def {name}{str(inspect.signature(method)).replace(chr(39), '')}`"
