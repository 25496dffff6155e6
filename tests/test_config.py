import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aista.config import apply_overrides, differences, dump_yaml, load_yaml, merge, replace_nodes
from aista.errors import ConfigError


@pytest.fixture
def load(tmp_path):
    def load(text):
        path = tmp_path / "a.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_yaml(path)

    return load


def test_plain_yaml(load):
    text = "a: 1\nb: [x, 2.5, null, true]\nc: {d: ~}\n# remark\ne:\n  - f: é\n"
    assert load(text) == {"a": 1, "b": ["x", 2.5, None, True], "c": {"d": None}, "e": [{"f": "é"}]}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3),
        ("2E5", 2e5),
        ("-.5", -0.5),
        (".inf", float("inf")),
        ("010", 10),
        ("0x10", 16),
        ("0o17", 15),
        ("-3", -3),
        ("no", "no"),
        ("On", "On"),
        ("2024-01-31", "2024-01-31"),
        ("12:30", "12:30"),
        ("1_000", "1_000"),
        ("'1e-3'", "1e-3"),
        ("", None),
    ],
)
def test_scalars_without_yaml_1_1_surprises(load, text, value):
    result = load(f"a: {text}")["a"]
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize("text", ["", "# only a remark\n", "---\n"])
def test_an_empty_file_is_an_empty_config(load, text):
    assert load(text) == {}


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        (
            "a: 1\nb:\n  c: 1\n  d: [{e: 1, e: 2}]\n  c: 3\na: 2\n",
            [
                "4: key 'b.d[0].e' is given twice, first in line 4; keep one of them",
                "5: key 'b.c' is given twice, first in line 3; keep one of them",
                "6: key 'a' is given twice, first in line 1; keep one of them",
            ],
        ),
        (
            "a:\n\tb: 1\n",
            ["2: not valid YAML: found character that cannot start any token; indent with spaces, not tabs"],
        ),
        (
            "a: b: c\n",
            ["1: not valid YAML: mapping values are not allowed in this context; quote texts that contain ': '"],
        ),
        ("a: [1, 2\nb: 3\n", ["2: not valid YAML: did not find expected ',' or ']'"]),
        ("a: *x\n", ["1: the alias *x has no complete value &x before it"]),
        ("a: &x [*x]\n", ["1: the alias *x has no complete value &x before it"]),
        (
            "a: !!python/object/apply:os.system [ls]\n",
            ["1: the tag 'tag:yaml.org,2002:python/object/apply:os.system' is not allowed"],
        ),
        ("a: 1\n---\nb: 2\n", ["2: a second document begins; a config holds one"]),
        ("? [1]\n: 2\n", ["1: a key must be a plain word: no list, mapping, anchor, alias or tag"]),
        (
            "- 1\n- 2\n",
            ["1: the top level must be a mapping of options, got list; write lines of the form 'key: value'"],
        ),
        ("just text\n", ["1: the top level must be a mapping of options, got str"]),
    ],
)
def test_bad_yaml_names_file_and_line(load, tmp_path, text, faults):
    with pytest.raises(ConfigError) as caught:
        load(text)
    lines = [str(fault) for fault in caught.value.faults]
    assert len(lines) == len(faults)
    for line, expected in zip(lines, faults, strict=True):
        assert line.startswith(f"{tmp_path / 'a.yaml'}:{expected}")


@pytest.mark.parametrize(
    ("content", "problem"),
    [(b"a: \xff", "is not UTF-8 text"), (b"a: \x01", "not valid YAML: control characters are not allowed")],
)
def test_bad_bytes_name_the_file(load, content, problem):
    with pytest.raises(ConfigError, match=rf"a\.yaml: {problem}"):
        load(content)


def test_a_missing_file_or_folder(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read: No such file or directory; check the path"):
        load_yaml(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load_yaml(tmp_path)


def test_a_file_that_never_ends_is_none():
    with pytest.raises(ConfigError, match=r"zero: is longer than 8,000,000 bytes"):
        load_yaml("/dev/zero")


def test_merge_keys_and_aliases_work(load):
    assert load("a: &base {x: 1, y: 2}\nb: {<<: *base, y: 3}\nc: *base\n") == {
        "a": {"x": 1, "y": 2},
        "b": {"x": 1, "y": 3},
        "c": {"x": 1, "y": 2},
    }


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(min_size=1), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(min_size=1), values, max_size=3))
def test_dump_is_read_back_unchanged(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "dump.yaml"
    path.write_text(dump_yaml(data), encoding="utf-8", newline="")
    assert load_yaml(path) == data


def test_dump_keeps_order_and_has_no_anchors():
    shared = [1e-3, "1e-3", "no", "0o17"]
    text = "b:\n- 0.001\n- '1e-3'\n- 'no'\n- '0o17'\na:\n- 0.001\n- '1e-3'\n- 'no'\n- '0o17'\n"
    assert dump_yaml({"b": shared, "a": shared}) == text


BASE = {
    "seed": 1,
    "encoder": "conformer",
    "llm": {"name": "small", "config": {"width": 8, "depth": 2}},
    "alignment": [{"name": "ot", "weight": 0.1, "config": {"solver": "sinkhorn"}}],
}


@pytest.mark.parametrize(
    ("overrides", "path", "expected"),
    [
        (["seed=2"], ["seed"], 2),
        (["seed = 2"], ["seed"], 2),
        (["lr=1e-3"], ["lr"], 1e-3),
        (["note=a=b"], ["note"], "a=b"),
        (["note="], ["note"], None),
        (["trainer.betas=[0.9, 0.98]"], ["trainer"], {"betas": [0.9, 0.98]}),
        (["encoder.config.x=1"], ["encoder"], {"name": "conformer", "config": {"x": 1}}),
        (["encoder=whisper"], ["encoder"], "whisper"),
        (["alignment=[]"], ["alignment"], []),
        (["alignment[0].weight=0.3"], ["alignment", 0, "weight"], 0.3),
        (["alignment[0].config.solver={name: exact}"], ["alignment", 0, "config", "solver"], {"name": "exact"}),
        (
            ["alignment[0].config.solver.config.epsilon=1"],
            ["alignment", 0, "config", "solver", "config"],
            {"epsilon": 1},
        ),
        (["alignment[1].name=mse", "alignment[1].weight=2"], ["alignment", 1], {"name": "mse", "weight": 2}),
        (["alignment[1]=mse"], ["alignment", 1], "mse"),
        (["stages[0].task=asr"], ["stages"], [{"task": "asr"}]),
        (["llm.config.width=16"], ["llm", "config"], {"width": 16, "depth": 2}),
        (["seed=2", "seed=3"], ["seed"], 3),
    ],
)
def test_overrides(overrides, path, expected):
    node = apply_overrides(BASE, overrides)
    for key in path:
        node = node[key]
    assert node == expected


@pytest.mark.parametrize("order", [1, -1])
def test_another_name_drops_stale_options_but_not_the_overrides_own(order):
    assert apply_overrides(BASE, ["llm.name=large"])["llm"] == {"name": "large"}
    given = ["llm.name=large", "llm.config.heads=4"][::order]
    assert apply_overrides(BASE, given)["llm"] == {"name": "large", "config": {"heads": 4}}
    assert apply_overrides(BASE, ["llm.name=small"])["llm"] == BASE["llm"]


def test_what_stands_beside_the_name_belongs_to_the_place_and_stays():
    assert apply_overrides(BASE, ["alignment[0].name=mse"])["alignment"] == [{"name": "mse", "weight": 0.1}]


def test_overrides_do_not_change_their_input():
    base, value = copy.deepcopy(BASE), ["alignment[0].weight=3", "llm.name=large", "encoder.config.x=1"]
    apply_overrides(base, value)
    assert base == BASE


def test_all_bad_overrides_are_reported_together():
    bad = {
        "seed": "has no '='; write key=value, e.g. optimizer.lr=1e-3",
        "=1": "'' is not a path; write keys joined by dots",
        "a..b=1": "'a..b' is not a path",
        "[0]=1": "'[0]' is not a path",
        "a[x]=1": "'a[x]' is not a path",
        "a=[1": "its value: not valid YAML",
        "a={b: 1, b: 2}": "its value: key 'b' is given twice, first in line 1",
        "seed.x.y=1": "seed is not a mapping but 1",
        "alignment.x=1": "alignment is not a mapping but [{'name'",
        "encoder[0]=1": "encoder is not a list but 'conformer'",
        "alignment[3].weight=1": "alignment has 1 items; the next one to set is [1]",
    }
    with pytest.raises(ConfigError) as caught:
        apply_overrides(BASE, list(bad))
    assert [fault.path for fault in caught.value.faults] == [f"override {text!r}" for text in bad]
    for fault, problem in zip(caught.value.faults, bad.values(), strict=True):
        assert fault.problem.startswith(problem)


def test_an_override_may_not_undo_an_earlier_one():
    with pytest.raises(
        ConfigError, match=r"override 'llm=large': undoes the earlier 'llm\.config\.width=3'; give it first"
    ):
        apply_overrides(BASE, ["llm.config.width=3", "llm=large"])
    assert apply_overrides(BASE, ["llm=large", "llm.config.width=3"])["llm"] == {
        "name": "large",
        "config": {"width": 3},
    }


@pytest.mark.parametrize(
    ("base", "overlay", "expected"),
    [
        ({"a": 1, "b": {"c": 1}}, {"b": {"d": 2}, "e": 3}, {"a": 1, "b": {"c": 1, "d": 2}, "e": 3}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": {"b": 1}}, {"a": None}, {"a": None}),
        ({"a": {"b": 1}}, {"a": 2}, {"a": 2}),
        ({"a": 1}, {"a": {"b": 2}}, {"a": {"b": 2}}),
        (
            {"x": {"name": "p", "config": {"k": 1, "l": 1}}},
            {"x": {"name": "p", "config": {"k": 2}}},
            {"x": {"name": "p", "config": {"k": 2, "l": 1}}},
        ),
        (
            {"x": {"name": "p", "config": {"k": 1}}},
            {"x": {"config": {"l": 2}}},
            {"x": {"name": "p", "config": {"k": 1, "l": 2}}},
        ),
        (
            {"x": {"name": "p", "weight": 1, "config": {"k": 1}}},
            {"x": {"name": "q", "config": {"m": 1}}},
            {"x": {"name": "q", "config": {"m": 1}}},
        ),
        ({"x": {"config": {"k": 1}}}, {"x": {"name": "q"}}, {"x": {"name": "q"}}),
        ({"x": {"name": "p", "config": {"k": 1}}}, {"x": "q"}, {"x": "q"}),
        ({"x": {"name": "p", "config": {"k": 1}}}, {"x": "p"}, {"x": {"name": "p", "config": {"k": 1}}}),
        ({"x": "p"}, {"x": {"config": {"k": 1}}}, {"x": {"name": "p", "config": {"k": 1}}}),
        ({"x": "p"}, {"x": {"name": "q", "config": {"k": 1}}}, {"x": {"name": "q", "config": {"k": 1}}}),
        ({"x": "p"}, {"x": {"tuning": "lora"}}, {"x": {"name": "p", "tuning": "lora"}}),
        ({"prompt": "a {speech}"}, {"prompt": {"user": "{speech}"}}, {"prompt": {"user": "{speech}"}}),
    ],
)
def test_merge(base, overlay, expected):
    before = copy.deepcopy((base, overlay))
    assert merge(base, overlay) == expected
    assert (base, overlay) == before


def test_a_merge_shares_nothing_with_its_arguments():
    base, overlay = {"a": {"b": [1]}}, {"c": {"d": [2]}}
    merged = merge(base, overlay)
    merged["a"]["b"].append(0)
    merged["c"]["d"].append(0)
    assert (base, overlay) == ({"a": {"b": [1]}}, {"c": {"d": [2]}})


@given(st.dictionaries(st.text(min_size=1), values, max_size=3))
def test_merging_a_config_with_itself_or_nothing_changes_nothing(data):
    assert merge(data, data) == merge(data, {}) == merge({}, data) == data


def test_replace_nodes_leaves_nothing_of_the_old_node():
    data = {"a": {"name": "x", "config": {"p": 1}}, "b": [{"w": 1, "v": 2}]}
    before = copy.deepcopy(data)
    assert replace_nodes(data, {"a": {"name": "x"}, "b[0].w": 5, "c.d": [1]}) == {
        "a": {"name": "x"},
        "b": [{"w": 5, "v": 2}],
        "c": {"d": [1]},
    }
    assert data == before


def test_replace_nodes_lists_every_impossible_path():
    with pytest.raises(ConfigError) as raised:
        replace_nodes({"a": 1, "b": []}, {"a.x": 1, "b[3]": 2, "..": 3})
    assert [fault.path for fault in raised.value.faults] == ["a.x", "b[3]", ".."]


def test_differences_name_the_smallest_node_and_components_as_a_whole():
    old = {"a": 1, "b": [{"w": 1}, 2], "c": {"name": "x", "config": {"p": 1}}, "d": [1], "gone": 0}
    new = {"a": 1, "b": [{"w": 3}, 2], "c": {"name": "y"}, "d": [1, 2], "new": 0}
    assert list(differences(old, new)) == [
        ("b[0].w", 1, 3),
        ("c", {"name": "x", "config": {"p": 1}}, {"name": "y"}),
        ("d", [1], [1, 2]),
        ("gone", 0, "(absent)"),
        ("new", "(absent)", 0),
    ]
