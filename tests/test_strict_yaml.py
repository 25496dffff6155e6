import math

import pytest

from aista.errors import ConfigError
from aista.strict_yaml import MAX_DEPTH, MAX_VALUES, parse, parse_value


def fault(text):
    with pytest.raises(ConfigError) as caught:
        parse(text, "a.yaml")
    (only,) = caught.value.faults
    return str(only)


def layered(first, line, layers):
    """A text whose every layer names the one below ten times: 10 ** layers copies of the first."""
    lines = [f"x0: &x0 {first}"]
    lines += [f"x{n + 1}: &x{n + 1} {line.format(', '.join([f'*x{n}'] * 10))}" for n in range(layers)]
    return "\n".join(lines)


@pytest.mark.parametrize("line", ["[{}]", "{{<<: [{}]}}", "{{a: [{}]}}"])
def test_what_aliases_repeat_is_bounded(line):
    assert fault(layered("{k: 1}", line, 9)).endswith(
        f"there are more than {MAX_VALUES:,} values, counting what aliases repeat"
    )


def test_values_are_counted_as_if_aliases_were_written_out():
    """1 list of (3 + n) lists, each of 4 items: 1 + 5 (3 + n) values."""
    lists = (MAX_VALUES - 1) // 5
    assert (MAX_VALUES - 1) % 5 == 4
    text = f"[&a [1, 2, 3, 4], {'*a, ' * (lists - 1)}"
    assert len(parse(f"{text} 1, 2, 3, 4]", "")) == lists + 4
    assert "more than" in fault(f"{text} 1, 2, 3, 4, 5]")


def test_levels_are_bounded_through_aliases_too():
    def nested(levels):
        return "[" * levels + "]" * levels

    assert parse(nested(MAX_DEPTH), "") == eval(nested(MAX_DEPTH))
    assert "more than 50 levels" in fault(nested(MAX_DEPTH + 1))
    assert "more than 50 levels" in fault("[" * 100_000)
    chain = "a1: &a1 []\n" + "".join(f"a{n + 1}: &a{n + 1} [*a{n}]\n" for n in range(1, 60))
    assert fault(chain).startswith("a.yaml:50: ")  # its list is in level 51: the top level, and 50 lists in each other


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: &x {p: 1, q: 2}\nb: {<<: *x, q: 3}\n", {"a": {"p": 1, "q": 2}, "b": {"p": 1, "q": 3}}),
        ("a: &x {p: 1}\nb: &y {p: 2, q: 2}\nc: {p: 3}\nd: {r: 4, <<: [*x, *y]}", {"p": 1, "q": 2, "r": 4}),
        ("a: &x [1, &y 2]\nb: [*y, *x]", [2, [1, 2]]),
        ("'<<': 1", {"<<": 1}),
        ("1: a\n01: b\nnull: c\ntrue: d", {"1": "a", "01": "b", "null": "c", "true": "d"}),
    ],
)
def test_anchors_merge_keys_and_keys(text, expected):
    data = parse(text, "")
    assert expected in (data, data.get("b"), data.get("d"))


def test_what_an_alias_stands_for_does_not_change_by_being_a_key():
    assert "a key must be a plain word" in fault("a: &x 1\n*x : 2")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("9223372036854775808", "whole numbers go up to 9223372036854775807, got '9223372036854775808'"),
        ("-0x8000000000000000", None),
        ("0x8000000000000000", "whole numbers go up to 9223372036854775807"),
        ("1" * 5000, "(5,002 characters)"),
        ("0x" + "f" * 5000, "(5,004 characters)"),
        ("1e400", "'1e400' is too large for a number"),
        ("-1e400", "'-1e400' is too large for a number"),
        ("!!binary aGk=", "the tag 'tag:yaml.org,2002:binary' is not allowed"),
        ("!!bool maybe", "the tag 'tag:yaml.org,2002:bool' is not allowed"),
        ("!!set {a}", "is not allowed"),
        ("! a", "the tag '!' is not allowed"),
        ("{<<: 3}", "<< takes a mapping or a list of mappings, got 3"),
        ("{<<: [{}, 3]}", "<< takes a mapping or a list of mappings"),
        ("\ud800", "not valid YAML: 'utf-8' codec can't encode"),
    ],
)
def test_only_plain_data_within_bounds(text, problem):
    if problem is None:
        assert parse(text, "") == text
        return
    assert problem in fault(f"\na: {text}")
    with pytest.raises(ValueError, match=r"^(?!value)"):
        parse_value(text)


def test_the_largest_numbers():
    assert parse("[9223372036854775807, -9223372036854775807, 1.7e308, .inf]", "") == [
        2**63 - 1,
        -(2**63) + 1,
        1.7e308,
        math.inf,
    ]
