from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from aista.errors import DataError
from aista.files import hash_file
from aista.report.comparison_record import comparison_record
from aista.report.groups import group_rows, group_table, read_groups
from aista.report.report_options import ComparisonOptions
from aista.report.summary import summarise, summarise_one
from aista.report.test_set import some_rows
from aista.run_folder.contents import RunFolder
from aista.run_folder.sources import Source
from aista.scoring.holm import holm
from aista.scoring.significance import paired_bootstrap
from tests.scoring.helpers import just, make
from tests.written_runs import hypothesis_rows, write_run

OPTIONS = ComparisonOptions(samples=50)
BASE, GOOD = hypothesis_rows(0.5), hypothesis_rows(0.1)
TEXTS = {"base": [row.hypothesis for row in BASE], "good": [row.hypothesis for row in GOOD]}
REFERENCES = [row.reference for row in BASE]
GROUPS = ["ann" if index % 4 else "bob" for index in range(len(BASE))]


def test_a_group_is_scored_and_compared_as_a_test_set_of_its_own() -> None:
    metrics = [make("bleu"), make("chrf")]
    rows = group_rows(TEXTS, REFERENCES, GROUPS, metrics, OPTIONS)
    assert [(row.group, row.system, row.num_utterances) for row in rows] == [
        ("ann", "base", 60),
        ("ann", "good", 60),
        ("bob", "base", 20),
        ("bob", "good", 20),
    ]
    base, good, references = (
        [text for text, group in zip(texts, GROUPS, strict=True) if group == "bob"]
        for texts in (*TEXTS.values(), REFERENCES)
    )
    expected = paired_bootstrap(("base", base), {"good": good}, references, metrics[0], samples=50).system("good")
    row = rows[3]
    assert row.scores == {"bleu": expected.score, "chrf": metrics[1].score(good, references).value}
    assert (row.difference, row.interval, row.p_value) == (
        expected.difference,
        expected.difference_interval,
        expected.p_value,
    )
    assert rows[2].p_value is rows[2].difference is rows[2].adjusted is None
    values = {row.group: row.p_value for row in rows if row.p_value is not None}
    assert {row.group: row.adjusted for row in rows if row.adjusted is not None} == holm(values)


def test_one_system_is_scored_alone() -> None:
    rows = group_rows({"good": TEXTS["good"]}, REFERENCES, GROUPS, [make("bleu")], OPTIONS)
    assert [row.group for row in rows] == ["ann", "bob"]
    assert all(row.scores["bleu"] > 0 and row.p_value is None for row in rows)
    table = group_table(rows, "speaker")
    assert table.columns[:4] == ("speaker", "System", "Utterances", "BLEU")
    assert table.rows[1][:3] == ("bob", "good", "20")


def test_an_undefined_score_names_its_group() -> None:
    with pytest.raises(DataError, match=r"group 'bob' \(1 utterances\): wer is undefined"):
        group_rows({"a": ["x", "y"]}, ["un", "..."], ["ann", "bob"], [make("wer")], OPTIONS)


def test_groups_come_from_any_column_of_the_manifest(tmp_path: Path) -> None:
    file = tmp_path / "test.tsv"
    file.write_text("id\tspeaker\troom\nu2\tann\tA\nu1\t\tB\n")
    source = Source(checkpoint="step_1", split="test", manifest=str(file), sha256=hash_file(file))
    assert read_groups(source, "speaker", ["u1", "u2"]) == ["(empty)", "ann"]
    assert read_groups(source, "room", ["u2"]) == ["A"]
    with pytest.raises(DataError, match="no column 'age'"):
        read_groups(source, "age", ["u1"])
    with pytest.raises(DataError, match="lacks u3"):
        read_groups(source, "room", ["u1", "u3"])
    file.write_text("id\tspeaker\n" + "".join(f"u{n}\ts{n}\n" for n in range(101)))
    with pytest.raises(DataError, match="as it was evaluated"):
        read_groups(source, "speaker", ["u1"])
    with pytest.raises(DataError, match="at most 100 groups, got 101"):
        read_groups(replace(source, sha256=hash_file(file)), "speaker", [f"u{n}" for n in range(101)])
    with pytest.raises(DataError, match=r"\(not recorded\)"):
        read_groups(Source(checkpoint="", split="test"), "speaker", ["u1"])


def test_a_subset_is_compared_as_a_test_set_of_its_own(tmp_path: Path) -> None:
    runs = {name: RunFolder(write_run(tmp_path / name, error=error)) for name, error in (("a", 0.5), ("b", 0.1))}
    only = {f"u{number}" for number in range(0, 80, 2)} | {"of another split"}
    summary = summarise(runs, just(make("bleu")), OPTIONS, only=only)
    assert [row.id for row in summary.rows] == [f"u{number}" for number in range(0, 80, 2)]
    expected = make("bleu").score(TEXTS["good"][::2], REFERENCES[::2]).value
    assert summary.systems[1].scores["bleu"] == pytest.approx(expected)
    alone = summarise_one("b", runs["b"], just(make("bleu")), OPTIONS, only=only)
    assert alone.systems[0].scores == summary.systems[1].scores
    assert alone.systems[0].p_value is None
    with pytest.raises(DataError, match=r"none of the evaluated utterances, got ids such as 'v'; .* such as 'u0'"):
        some_rows(BASE, {"v"})


def test_the_record_has_every_number(tmp_path: Path) -> None:
    runs = {name: RunFolder(write_run(tmp_path / name, error=error)) for name, error in (("a", 0.5), ("b", 0.1))}
    (tmp_path / "ids").write_text("u1\nu2\nu3\n")
    metrics = [make("bleu")]
    summary = summarise(runs, just(*metrics), OPTIONS, only={"u1", "u2", "u3"})
    groups = group_rows(summary.hypotheses, REFERENCES[1:4], ["x", "x", "y"], metrics, OPTIONS)
    record = comparison_record(summary, OPTIONS, subset=tmp_path / "ids", column="speaker", groups=groups)
    record = json.loads(json.dumps(record, allow_nan=False))
    assert record["num_utterances"] == 3
    assert record["subset"]["sha256"] == hash_file(tmp_path / "ids")
    assert record["signatures"]["bleu"].endswith("bs:50|seed:12345")
    assert record["differences"]["bleu"]["b"]["p_value"] == summary.systems[1].p_value
    assert [(row["group"], row["system"]) for row in record["groups"]] == [
        ("x", "a"),
        ("x", "b"),
        ("y", "a"),
        ("y", "b"),
    ]
