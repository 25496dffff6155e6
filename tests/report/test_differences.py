from __future__ import annotations

import yaml

from aista.report.differences import differing, flat, marked_yaml, side_by_side

A = {"seed": 1, "alignment": [{"name": "ot", "weight": 0.5}], "data": {"dev": None, "cache": True}, "empty": []}
B = {"seed": 2, "alignment": [], "data": {"dev": None, "cache": True}, "empty": []}


def test_nested_data_become_paths() -> None:
    assert flat(A) == {
        "seed": "1",
        "alignment[0].name": "ot",
        "alignment[0].weight": "0.5",
        "data.dev": "none",
        "data.cache": "true",
        "empty": "[]",
    }


def test_only_what_differs_is_named_and_marked() -> None:
    facts = {"a": flat(A), "<b>": flat(B)}
    assert differing(facts) == ["seed", "alignment[0].name", "alignment[0].weight", "alignment"]
    table = side_by_side(facts, only_differing=True)
    assert "data.cache" not in table
    assert '<td>1</td><td class="differs">2</td>' in table
    assert '<td>ot</td><td class="differs">(absent)</td>' in table
    assert "&lt;b&gt;" in table
    assert '<td colspan="2">true</td>' in side_by_side(facts)
    assert side_by_side({"a": {"x": "1"}, "b": {"x": "1"}}, only_differing=True) == ""


def test_the_lines_that_differ_are_marked() -> None:
    text = yaml.safe_dump({**A, "note": "<script>"}, sort_keys=False)
    lines = marked_yaml(text, ["seed", "alignment[0].weight"]).splitlines()
    assert [line for line in lines if "<mark>" in line] == ["<mark>seed: 1</mark>", "<mark>  weight: 0.5</mark>"]
    assert "note: &lt;script&gt;" in lines
    assert marked_yaml("a: [", ["a"]) == "a: ["
