"""Strategies that follow the declarations of options: plain data for them, much of it right, some of it not."""

import dataclasses
import types
import typing
from collections.abc import Mapping
from pathlib import Path

from hypothesis import strategies as st

from aista import registry, schema

NUMBERS = [0, -1, 1, 2**31, 2**63 - 1, 2**63, -(2**70), 10**4000, 10**9, 0.0, -0.0, 1e308, -1e-320, 0.5]
TEXTS = [
    "1e400",
    "nan",
    "",
    " ",
    "auto",
    "\0",
    "a" * 300,
    "é/" * 200,
    "{",
    "{0}",
    "{speech.x}",
    "%s",
    "(a+)+$",
    "[",
    "../..",
]
NODES = [[], {}, [[]], {"name": None}, {"": 0}, {"name": "conv", "config": 3}, [None, {"config": []}], {"a": {"b": {}}}]
JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([*NUMBERS, *TEXTS, *NODES, float("inf"), float("-inf"), float("nan")]),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.lists(st.integers() | st.text(max_size=3), max_size=4),
    st.dictionaries(st.text(max_size=6), st.integers() | st.text(max_size=3), max_size=3),
)
PLACES = (
    st.sampled_from(["encoder", "alignment", "alignment[0].weight", "seed", "trainer.max_steps", "a[", "\0"])
    | st.text()
)
PATHS = st.sampled_from(["missing", "tests", "README.md", "/dev/null", ".", "a/b/c", "~"])


@st.composite
def mappings(draw, cls, most=4, odd=0.15):
    """A mapping for ``cls``: at most that many of its options, each of them right or, with that probability, not."""
    fields = [field for field in dataclasses.fields(cls) if field.init]
    chosen = (
        draw(st.lists(st.sampled_from(fields), unique_by=lambda field: field.name, max_size=most)) if fields else []
    )
    needed = [field for field in fields if field.name in schema.required_options(cls) and field not in chosen]
    hints = schema._hints(cls)
    data = {
        field.name: draw(JUNK if draw(chance(odd)) else values(hints[field.name], field.metadata, odd))
        for field in chosen + needed
    }
    if draw(chance(odd / 3)):
        data[draw(st.text(max_size=8))] = draw(JUNK)
    return data


def chance(probability):
    return st.floats(0, 1).map(lambda number: number < probability)


def values(hint, metadata, odd):
    """Values of one option."""
    if "kind" in metadata:
        node = components(metadata["kind"], metadata["type"], odd)
        return st.lists(node, max_size=2) if "many" in metadata else node
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return st.one_of([values(argument, metadata, odd) for argument in arguments])
    if origin is typing.Literal:
        return st.sampled_from(arguments)
    if origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        return st.lists(values(arguments[0], metadata, odd), max_size=4)
    if origin is tuple:
        return st.tuples(*(values(argument, metadata, odd) for argument in arguments)).map(list)
    if origin is Mapping and arguments[1] is not typing.Any:
        return st.dictionaries(PLACES, values(arguments[1], metadata, odd), max_size=3)
    if origin is Mapping:
        return st.dictionaries(PLACES, JUNK, max_size=3)
    if dataclasses.is_dataclass(hint):
        return mappings(hint, odd=odd)
    return scalars(hint, metadata)


def scalars(hint, metadata):
    if "choices" in metadata:
        return st.sampled_from(list(metadata["choices"]))
    low, high = metadata.get("minimum", metadata.get("above")), metadata.get("maximum", metadata.get("below"))
    if hint is int:
        small = st.integers(low or 0, min(high or 64, (low or 0) + 64))
        return (
            small | st.integers(low, high) | st.sampled_from([edge for edge in (low, high) if edge is not None] or [1])
        )
    if hint is float:
        return st.floats(low, high, allow_nan=False)
    if hint in (str, Path):
        return PATHS | st.text(max_size=12)
    return {bool: st.booleans(), type(None): st.none()}.get(hint, JUNK)


@st.composite
def components(draw, kind, cls=schema.Component, odd=0.15):
    """A component of ``kind`` as a config names it."""
    if draw(chance(odd / 3)):
        return draw(JUNK)
    name = draw(st.sampled_from(registry.names(kind)))
    node = {"name": name}
    options = registry.get(kind, name).config
    if options is not None and draw(st.booleans()):
        node["config"] = draw(mappings(options, odd=odd))
    for field in dataclasses.fields(cls)[2:]:
        if draw(chance(0.3)):
            node[field.name] = draw(values(schema._hints(cls)[field.name], field.metadata, odd))
    return node if len(node) > 1 or draw(st.booleans()) else name
