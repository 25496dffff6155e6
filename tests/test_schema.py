from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aista import registry
from aista.errors import ConfigError, PluginError
from aista.plain import changes_weights, is_given, to_plain
from aista.schema import (
    Component,
    Options,
    component,
    components,
    option,
    required,
    required_options,
    resolve,
    section,
    structure,
)


@dataclass(frozen=True, kw_only=True)
class MetricConfig:
    power: int = option(2, "Exponent.", minimum=1, maximum=9)


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    cost: Component = component("distance", "metric", "Ground cost.")
    rho: tuple[float, float] = option((1.0, 2.0), "Two strengths.", minimum=0)
    scale: float | Literal["mean"] = option("mean", "Unit of epsilon.", above=0)


@dataclass(frozen=True, kw_only=True)
class FileConfig:
    path: Path = required("Folder of the model.")


@dataclass(frozen=True, kw_only=True)
class Weighted(Component):
    weight: float = option(1.0, "Factor of this loss.", minimum=0)


@pytest.fixture(autouse=True)
def _kinds(define_kind):
    define_kind("distance")
    define_kind("loss")
    registry.register("distance", "metric", config=MetricConfig)(lambda config: config)
    registry.register("distance", "plain")(lambda: "plain")
    registry.register("distance", "file", config=FileConfig)(lambda config: config)
    registry.register("loss", "ot", config=LossConfig)(lambda config: config)


@dataclass(frozen=True, kw_only=True)
class Inner:
    size: int = option(3, "Size.", minimum=1)


@dataclass(frozen=True, kw_only=True)
class Everything:
    flag: bool = option(False, "A flag.")
    count: int = option(1, "A count.", minimum=0, maximum=10)
    rate: float = option(0.1, "A rate.", above=0)
    limit: float = option(1.0, "A limit.", finite=False)
    name: str = option("x", "A name.", choices=("x", "y"))
    path: Path | None = option(None, "A path.")
    mode: Literal["a", "b", 1] = option("a", "A mode.")
    pair: tuple[float, int] = option((1.0, 2), "A pair.")
    many: tuple[int, ...] = option((), "Many.", minimum=0)
    table: dict[str, int] = option({"k": 1}, "A table.", maximum=5)
    free: Mapping[str, Any] | None = option(None, "Anything.")
    either: int | str = option(0, "Either.")
    inner: Inner = section(Inner, "A section.")
    groups: tuple[Inner, ...] = option((), "Groups.")


def faults(cls, data, **kwargs):
    with pytest.raises(ConfigError) as caught:
        structure(cls, data, **kwargs)
    return [str(fault) for fault in caught.value.faults]


def test_defaults_are_those_of_the_dataclass():
    assert structure(Everything, {}) == structure(Everything, None) == Everything()
    assert Everything().table is not Everything().table


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"flag": True}, {"flag": True}),
        ({"rate": 2}, {"rate": 2.0}),
        ({"rate": "1e-3"}, {"rate": 1e-3}),
        ({"limit": math.inf}, {"limit": math.inf}),
        ({"path": "a/b"}, {"path": Path("a/b")}),
        ({"path": None}, {"path": None}),
        ({"mode": 1}, {"mode": 1}),
        ({"pair": [1, 2]}, {"pair": (1.0, 2)}),
        ({"many": [1, 2, 3]}, {"many": (1, 2, 3)}),
        ({"table": {"a": 1, 2: 2}}, {"table": {"a": 1, "2": 2}}),
        ({"free": {"a": [1, {"b": None}], "c": 10**400}}, {"free": {"a": [1, {"b": None}], "c": 10**400}}),
        ({"either": "3"}, {"either": "3"}),
        ({"either": 3}, {"either": 3}),
        ({"inner": {"size": 5}}, {"inner": Inner(size=5)}),
        ({"inner": None}, {"inner": Inner()}),
        ({"groups": [{"size": 1}, {}]}, {"groups": (Inner(size=1), Inner())}),
    ],
)
def test_values_are_converted(data, expected):
    assert structure(Everything, data) == Everything(**expected)
    (name,) = expected
    assert type(getattr(structure(Everything, data), name)) is type(expected[name])


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        ({"flag": 1}, "flag: expects true or false, got 1"),
        ({"flag": "yes"}, "flag: expects true or false, got 'yes'"),
        ({"count": True}, "count: expects a whole number, got True"),
        ({"count": 1.0}, "count: expects a whole number, got 1.0"),
        ({"count": -1}, "count: must be at least 0, got -1"),
        ({"count": 11}, "count: must be at most 10, got 11"),
        ({"rate": 0}, "rate: must be greater than 0, got 0.0"),
        ({"rate": math.nan}, "rate: expects a number, got nan"),
        ({"rate": "nan"}, "rate: expects a number, got 'nan'"),
        ({"rate": math.inf}, "rate: must be finite, got inf"),
        ({"rate": 10**400}, "rate: expects a number, got 1" + 199 * "0" + "... (401 characters)"),
        ({"rate": 10**5000}, "rate: expects a number, got a int too long to write"),
        ({"count": 2**63}, f"count: expects a whole number, got {2**63}; at most {2**63 - 1}"),
        ({"count": -(10**5000)}, f"count: expects a whole number, got a int too long to write; at most {2**63 - 1}"),
        ({"rate": True}, "rate: expects a number, got True"),
        ({"rate": "fast"}, "rate: expects a number, got 'fast'"),
        ({"rate": None}, "rate: expects a number, got None"),
        ({"name": "z"}, "name: expects one of 'x', 'y', got 'z'"),
        ({"name": False}, 'name: expects a text, got False; quote it: "False"'),
        ({"path": 3}, "path: expects a path, got 3"),
        ({"path": ""}, "path: expects a path, got ''; it must not be empty"),
        ({"path": "a\0b"}, r"path: expects a path, got 'a\x00b'; it must not contain the character NUL"),
        ({"path": "a/" + 128 * "é"}, f"path: expects a path, got 'a/{128 * 'é'}'; names have at most 255 bytes"),
        (
            {"path": 2100 * "a/"},
            f"path: expects a path, got '{99 * 'a/'}a... (4,202 characters); paths have at most 4095 bytes",
        ),
        ({"mode": "c"}, "mode: expects one of 'a', 'b', 1, got 'c'"),
        ({"mode": True}, "mode: expects one of 'a', 'b', 1, got True"),
        ({"pair": [1.0]}, "pair: expects 2 items, got 1: [1.0]"),
        ({"pair": [1.0, 2.5]}, "pair[1]: expects a whole number, got 2.5"),
        ({"pair": 1.0}, "pair: expects a list, got 1.0; write [1.0]"),
        ({"many": [1, -1]}, "many[1]: must be at least 0, got -1"),
        ({"many": "12"}, "many: expects a list, got '12'; write ['12']"),
        ({"table": {"a": 6}}, "table.a: must be at most 5, got 6"),
        ({"table": [1]}, "table: expects a mapping, got [1]"),
        ({"either": 1.5}, "either: expects int or str, got 1.5"),
        ({"inner": {"size": 0}}, "inner.size: must be at least 1, got 0"),
        ({"inner": 3}, "inner: expects a mapping of options, got 3"),
        ({"groups": [{}, {"sise": 1}]}, "groups[1].sise: unknown option (did you mean 'size'?); known: size"),
        ({1: 2}, f"1: unknown option; known: {', '.join(Everything.__dataclass_fields__)}"),
    ],
)
def test_a_wrong_value_is_one_fault(data, fault):
    assert faults(Everything, data) == [fault]


def test_every_fault_is_reported_with_its_source():
    data = {"flag": 3, "cuont": 1, "inner": {"size": 0}, "pair": [True, 1]}
    with pytest.raises(ConfigError) as caught:
        structure(Everything, data, at="top", source="my.yaml")
    assert str(caught.value).startswith("my.yaml: 4 faults\n")
    assert [fault.path for fault in caught.value.faults] == ["top.cuont", "top.flag", "top.pair[0]", "top.inner.size"]


def test_the_top_level_must_be_a_mapping():
    assert faults(Everything, [1], at="") == ["(top level): expects a mapping of options, got [1]"]


def test_required_options_and_post_init_rules():
    @dataclass(frozen=True, kw_only=True)
    class Rule:
        low: int = required("The lower end.", minimum=0)
        high: int = option(3, "The upper end.")

        def __post_init__(self):
            if self.low > self.high:
                raise ValueError(f"low ({self.low}) must not exceed high ({self.high})")

    Rule.__annotations__.update(low="int", high="int")
    assert faults(Rule, {}) == ["low: is required; The lower end."]
    assert faults(Rule, {"low": -1}) == ["low: must be at least 0, got -1"]
    assert faults(Rule, {"low": 4}, at="range") == ["range: low (4) must not exceed high (3)"]


def test_unknown_bounds_are_a_programming_error():
    with pytest.raises(TypeError, match=r"required\(\) got unknown bounds \['minimun'\]"):
        required("A number.", minimun=0)


@dataclass(frozen=True)
class BadType:
    items: list[int] = field(default_factory=list)


def test_unsupported_annotations_are_a_programming_error():
    with pytest.raises(PluginError, match=r"items: options cannot have the type list\[int\]; use bool, int"):
        structure(BadType, {"items": [1]})


@dataclass(frozen=True, kw_only=True)
class Experiment:
    alignment: tuple[Weighted, ...] = components("loss", "Alignment losses.", type=Weighted)
    distances: tuple[Component, ...] = components("distance", "Distances.", default=("plain", "metric"))
    solver: Component = component("distance", "metric", "A solver.")
    extra: Component | None = component("distance", None, "An extra.")


def test_components_by_name_or_by_node():
    for data in ("ot", {"name": "ot"}, {"name": "ot", "config": None}, {"name": "ot", "config": {}}):
        assert structure(Experiment, {"alignment": [data]}).alignment == (Weighted(name="ot", config=LossConfig()),)


def test_defaults_of_components_are_structured_at_every_depth():
    whole = structure(Experiment, {})
    assert whole.solver == Component("metric", MetricConfig())
    assert whole.distances == (Component("plain"), Component("metric", MetricConfig()))
    assert whole.extra is None
    assert structure(Experiment, {"alignment": ["ot"]}).alignment[0].config.cost.config == MetricConfig()
    assert LossConfig().cost == Component("metric", MetricConfig())
    assert Experiment() == whole


def test_options_beside_a_components_name():
    data = {"alignment": [{"name": "ot", "weight": 0.1, "config": {"cost": "plain"}}]}
    assert structure(Experiment, data).alignment == (
        Weighted(name="ot", weight=0.1, config=LossConfig(cost=Component("plain"))),
    )


def test_a_node_without_a_name_keeps_the_default_component():
    assert structure(Experiment, {"solver": {"config": {"power": 3}}}).solver.config.power == 3
    assert faults(Experiment, {"alignment": [{"weight": 1.0}]}) == [
        "alignment[0]: expects a loss: a name or {name: ..., config: {...}}, got {'weight': 1.0}"
    ]


def test_faults_inside_components():
    data = {
        "alignment": [
            {"name": "ot", "wieght": 1, "config": {"cost": {"name": "metric", "config": {"power": 0}}}},
            {"name": "ott", "weight": -1},
            3,
        ],
        "distances": "plain",
        "solver": {"name": "plain", "config": {"x": 1}},
        "extra": {"name": "file"},
    }
    assert faults(Experiment, data) == [
        "alignment[0].wieght: unknown option (did you mean 'weight'?); known: name, config, weight; "
        "options go under alignment[0].config",
        "alignment[0].config.cost.config.power: must be at least 1, got 0",
        "alignment[1].weight: must be at least 0, got -1.0",
        "alignment[1].name: unknown loss 'ott' (did you mean 'ot'?); known: ot",
        "alignment[2]: expects a loss: a name or {name: ..., config: {...}}, got 3",
        "distances: expects a list of distance components, got 'plain'",
        "solver.config: distance 'plain' takes no options, got {'x': 1}",
        "extra.config.path: is required; Folder of the model.",
    ]


@dataclass(frozen=True, kw_only=True)
class Needy:
    model: Component = component("distance", None, "The model.")
    file: Component = component("distance", "file", "A file.")


def test_required_components():
    assert faults(Needy, {}) == [
        "model: is required; The model. Name a distance: file, metric, plain",
        "file.config.path: is required; Folder of the model.",
    ]


def test_resolve_structures_one_component():
    assert resolve("distance", "metric") == Component("metric", MetricConfig())
    assert resolve("loss", {"name": "ot", "weight": 2}, type=Weighted).weight == 2.0
    assert registry.build("distance", resolve("distance", {"name": "metric", "config": {"power": 4}})).power == 4
    with pytest.raises(ConfigError, match=r"cost\.config\.powr: unknown option \(did you mean 'power'"):
        resolve("distance", {"name": "metric", "config": {"powr": 4}}, at="cost")


def test_of_very_many_unknown_options_the_first_are_named_and_the_others_counted():
    found = faults(Inner, {f"sise{number}": 1 for number in range(200_000)}, at="inner")
    assert len(found) == 21
    assert found[19] == "inner.sise19: unknown option (did you mean 'size'?); known: size"
    assert found[20] == "inner: 199,980 more unknown options"


def test_a_very_long_word_gets_no_suggestion():
    assert faults(Inner, {"size" * 100_000: 1}) == [f"{'size' * 50}...: unknown option; known: size"]


def test_structured_values_pass_through():
    inner, weighted = Inner(size=7), Weighted(name="ot", config=LossConfig(), weight=0.5)
    assert structure(Everything, {"inner": inner}).inner is inner
    assert structure(Experiment, {"alignment": [weighted]}).alignment == (weighted,)


def test_to_plain_keeps_declaration_order_and_component_options():
    value = structure(Experiment, {"alignment": [{"name": "ot", "weight": 0.1}]})
    plain = to_plain(value)
    assert list(plain) == ["alignment", "distances", "solver", "extra"]
    assert list(plain["alignment"][0]) == ["name", "weight", "config"]
    assert plain["distances"][0] == {"name": "plain"}
    assert to_plain(Everything(path=Path("a/b")))["path"] == "a/b"


@dataclass(frozen=True, kw_only=True)
class Search(Options):
    beams: int = option(4, "Beams.")
    rows: int = option(8, "Rows at a time.", weights=False)


@dataclass(frozen=True, kw_only=True)
class Marked(Options):
    name: str = required("What it is called.")
    search: Search = section(Search, "Search.")
    distance: Component = component("distance", "metric", "Cost.")
    table: Mapping[str, Any] = option({}, "Free.")


def test_to_plain_writes_those_options_alone_that_are_asked_for():
    value = Marked(name="x", search=Search(rows=2))
    assert to_plain(value, changes_weights) == {
        "name": "x",
        "search": {"beams": 4},
        "distance": {"name": "metric", "config": {"power": 2}},
        "table": {},
    }
    assert to_plain(value, is_given) == {"name": "x", "search": {}}
    changed = Marked(name="x", search=Search(beams=1), distance={"name": "metric", "config": {"power": 3}})
    assert to_plain(changed, is_given) == {
        "name": "x",
        "search": {"beams": 1},
        "distance": {"name": "metric", "config": {"power": 3}},
    }


node = st.fixed_dictionaries({"name": st.just("ot"), "weight": st.floats(0, 10)})


@given(st.fixed_dictionaries({}, optional={"alignment": st.lists(node, max_size=3), "extra": st.just("plain")}))
def test_structure_inverts_to_plain(data):
    value = structure(Experiment, data)
    assert structure(Experiment, to_plain(value)) == value


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "flag": st.booleans(),
            "count": st.integers(0, 10),
            "rate": st.floats(min_value=0, exclude_min=True, allow_infinity=False),
            "limit": st.floats(allow_nan=False),
            "many": st.lists(st.integers(0, 2**63 - 1)),
            "either": st.integers(1 - 2**63, 2**63 - 1) | st.text(),
            "table": st.dictionaries(st.text(), st.integers(1 - 2**63, 5)),
        },
    )
)
def test_structure_inverts_to_plain_for_any_options(data):
    value = structure(Everything, data)
    assert structure(Everything, to_plain(value)) == value


@dataclass(frozen=True, kw_only=True)
class Bounded(Options):
    epsilon: float = option(0.1, "Sharpness.", above=0)
    rounds: int = option(3, "How often.", minimum=1)
    sides: tuple[float, ...] = option((1.0, 1.0), "Two strengths.", minimum=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rounds > 9 and self.epsilon > 1:
            raise ValueError("rounds above 9 need epsilon of at most 1")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epsilon": 0}, "epsilon: must be greater than 0, got 0"),
        ({"epsilon": math.inf}, "epsilon: must be finite, got inf"),
        ({"epsilon": math.nan}, "epsilon: expects a number, got nan"),
        ({"rounds": 2.5}, "rounds: expects a whole number, got 2.5"),
        ({"rounds": True}, "rounds: expects a whole number, got True"),
        ({"sides": (1.0, -1.0)}, r"sides\[1\]: must be at least 0, got -1.0"),
        ({"rounds": 10, "epsilon": 2.0}, "rounds above 9 need epsilon of at most 1"),
        (
            {"rounds": 0, "epsilon": -1},
            r"epsilon: must be greater than 0, got -1\.0; rounds: must be at least 1, got 0",
        ),
    ],
)
def test_options_hold_to_their_bounds_in_python(values, message):
    with pytest.raises(ValueError, match=message):
        Bounded(**values)


def test_options_in_bounds_are_made():
    made = Bounded(epsilon=1, rounds=10, sides=[1, 2])
    assert made == structure(Bounded, {"epsilon": 1, "rounds": 10, "sides": [1, 2]})
    assert (type(made.epsilon), made.sides) == (float, (1.0, 2.0))


def test_what_stands_beside_a_components_name_is_held_to_its_bounds():
    with pytest.raises(ValueError, match="weight: must be at least 0, got -1"):
        Weighted(name="ot", weight=-1)


@dataclass(frozen=True, kw_only=True)
class Parts(Options):
    metric: Component = component("distance", "plain", "How far.")
    losses: tuple[Component, ...] = components("loss", "What is lowered.")


@dataclass(frozen=True, kw_only=True)
class NeedsPart(Options):
    metric: Component = component("distance", None, "How far.")


def test_components_in_python_are_names_nodes_or_the_components_themselves():
    @registry.register("distance", "scaled")
    @dataclass(frozen=True, kw_only=True)
    class Scaled(Options):
        scale: float = 1.0

    Scaled.__annotations__["scale"] = float
    made = Parts(metric="metric", losses=["ot", {"name": "ot", "config": {"scale": 2.0}}])
    assert made == structure(Parts, {"metric": "metric", "losses": ["ot", {"name": "ot", "config": {"scale": 2.0}}]})
    assert Parts(metric=Scaled(scale=2.0)).metric == Component("scaled", Scaled(scale=2.0))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"metric": 3}, "metric: expects a distance: a name or .*, got 3"),
        ({"metric": None}, "metric: is required"),
        ({"metric": "metrik"}, r"metric\.name: unknown distance 'metrik' \(did you mean 'metric'"),
        ({"metric": {"name": "metric", "config": {"power": 0}}}, r"metric\.config\.power: must be at least 1, got 0"),
        ({"metric": Bounded()}, "metric: expects a distance: a name or .*, got {'name': Bounded"),
        ({"losses": "ot"}, "losses: expects a list of loss components, got 'ot'"),
        ({"metric": Component("plain", 3)}, r"metric\.config: distance 'plain' takes no options, got 3"),
    ],
)
def test_wrong_components_in_python(values, message):
    with pytest.raises(ValueError, match=message):
        Parts(**values)


def test_a_required_component():
    with pytest.raises(ValueError, match=r"metric: is required; How far\. Name a distance: file, metric, plain"):
        NeedsPart()
    assert required_options(NeedsPart) == {"metric": "How far."}
    assert required_options(Parts) == {}
    registry.register("loss", "needy", config=NeedsPart)(lambda config: config)
    with pytest.raises(ConfigError, match=r"loss\.config: metric: is required"):
        registry.build("loss", Component("needy"))


def test_an_annotation_that_is_not_known_at_run_time_is_named():
    @dataclass(frozen=True, kw_only=True)
    class Typed(Options):
        path: Missing = option("x", "A path.")  # noqa: F821

    with pytest.raises(PluginError, match=r"Typed: the type of an option must be known at run time, but .*'Missing'"):
        Typed()


def test_numbers_of_numpy_are_numbers():
    made = Bounded(epsilon=np.float32(0.5), rounds=np.int64(4))
    assert (made.epsilon, made.rounds) == (0.5, 4)
    assert (type(made.epsilon), type(made.rounds)) == (float, int)
