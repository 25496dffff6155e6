"""Runs of several tasks and directions: which evaluations are compared, on what they share."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from aista.errors import DataError, RunError
from aista.report.gather import gather
from aista.report.render import render_report
from aista.report.report_options import ComparisonOptions, ReportOptions
from aista.report.summary import summarise
from aista.report.task_groups import read_task_groups
from aista.report.test_set import headline_task, read_test_set
from aista.run_folder.contents import RunFolder
from aista.scoring.base import Metric
from aista.scoring.hypotheses import write_hypotheses
from aista.scoring.macro_average import metrics_of_directions
from aista.scoring.significance import paired_bootstrap
from tests.scoring.helpers import make
from tests.written_runs import hypothesis_rows, write_run

OPTIONS = ComparisonOptions(samples=40)
TARGETS = ("de", "fr", "fr")  # every third row is German


def build(task: str, languages: Mapping[str, str]) -> Sequence[Metric]:
    name = "wer" if task == "asr" else "bleu"
    return metrics_of_directions(languages, lambda language: [make(name, language or "fr")])


def write(
    path: Path, error: float, targets: Sequence[str] = TARGETS, tasks: Sequence[str] = (), labels: Sequence[str] = ()
) -> RunFolder:
    """A run whose rows have these target languages in turn; ``labels`` are further evaluations."""
    write_run(path, error=error)
    if tasks:
        (path / "config.yaml").write_text(f"task: speech_translation\ndata: {{tasks: [{', '.join(tasks)}]}}\n")
    rows = hypothesis_rows(error)
    for label in ("test", *labels):
        folder = path / "evaluation" / label
        if label != "test":
            shutil.copytree(path / "evaluation/test", folder)
        languages = ("en",) if "asr" in label else targets
        turned = [replace(row, src_lang="en", tgt_lang=languages[i % len(languages)]) for i, row in enumerate(rows)]
        write_hypotheses(folder / "hypotheses.tsv", turned)
    return RunFolder(path)


def test_the_headline_is_the_mean_over_the_directions(tmp_path: Path) -> None:
    runs = {"a": write(tmp_path / "a", 0.5), "b": write(tmp_path / "b", 0.2)}
    summary = summarise(runs, build, OPTIONS)
    assert summary.test_set.title == "macro average over en-de, en-fr"
    groups = read_task_groups(runs, build, OPTIONS, summary.test_set)
    assert [(row.group, row.num_utterances, row.system) for row in groups.rows] == [
        ("en-de", 27, "a"),
        ("en-de", 27, "b"),
        ("en-fr", 53, "a"),
        ("en-fr", 53, "b"),
    ]
    of_b = [row for row in groups.rows if row.system == "b"]
    assert summary.systems[1].scores["bleu"] == pytest.approx(sum(row.scores["bleu"] for row in of_b) / 2)
    rows = [row for row in summary.rows if row.tgt_lang == "de"]
    texts = {label: [row.hypothesis for row in run.evaluation("test").rows[::3]] for label, run in runs.items()}
    expected = paired_bootstrap(
        ("a", texts["a"]), {"b": texts["b"]}, [row.reference for row in rows], make("bleu", "de"), samples=40
    ).system("b")
    assert (of_b[0].difference, of_b[0].p_value) == (pytest.approx(expected.difference), expected.p_value)


def test_another_direction_can_be_the_headline(tmp_path: Path) -> None:
    runs = {"a": write(tmp_path / "a", 0.5), "b": write(tmp_path / "b", 0.2)}
    options = replace(OPTIONS, direction="en-de")
    summary = summarise(runs, build, options)
    assert (summary.test_set.title, len(summary.rows)) == ("en-de", 27)
    assert "macro" not in summary.signatures["bleu"]
    assert len(read_task_groups(runs, build, options, summary.test_set).rows) == 4  # all stay beside it
    with pytest.raises(DataError, match="'en-it' is not one that all runs share: a has en-de, en-fr; b has"):
        summarise(runs, build, replace(OPTIONS, direction="en-it"))


def test_runs_are_compared_on_the_directions_that_they_share(tmp_path: Path) -> None:
    runs = {"both": write(tmp_path / "both", 0.5), "one": write(tmp_path / "one", 0.2, ["de"])}
    rows = [row for row in runs["one"].evaluation("test").rows if int(row.id[1:]) % 3 == 0]
    write_hypotheses(runs["one"].paths.hypotheses_file("test"), rows)
    summary = summarise(runs, build, OPTIONS)
    assert (summary.test_set.title, len(summary.rows)) == ("en-de", 27)
    assert summary.test_set.notes == ("both: left out, as not all runs have it: en-fr (53 utterances)",)
    write_hypotheses(runs["one"].paths.hypotheses_file("test"), rows[:-1])
    with pytest.raises(DataError, match="evaluated on other utterances: 1 missing in 'one'"):
        summarise(runs, build, OPTIONS)


def test_runs_without_a_common_direction_are_refused(tmp_path: Path) -> None:
    runs = {"a": write(tmp_path / "a", 0.5, ["fr"]), "b": write(tmp_path / "b", 0.2, ["de"])}
    with pytest.raises(DataError, match="the runs share no direction: a has en-fr; b has en-de"):
        summarise(runs, build, OPTIONS)


def test_hypotheses_that_do_not_say_their_languages_are_refused(tmp_path: Path) -> None:
    run = write(tmp_path / "a", 0.5, [""])
    scores = json.loads(run.paths.scores_file("test").read_text())
    run.paths.scores_file("test").write_text(json.dumps(scores | {"directions": {"en-de": [], "en-fr": []}}))
    with pytest.raises(DataError, match="a: its hypotheses do not say their languages; evaluate test again"):
        read_test_set({"a": run}, build, OPTIONS)


def test_translation_is_the_headline_and_tasks_are_compared_apart(tmp_path: Path) -> None:
    """One run has translation as its first task, the other recognition."""
    runs = {
        "a": write(tmp_path / "a", 0.5, tasks=["asr", "st"], labels=["test+task=st"]),
        "b": write(tmp_path / "b", 0.2, tasks=["st", "asr"], labels=["test+task=asr"]),
    }
    english = [replace(row, src_lang="en", tgt_lang="en") for row in hypothesis_rows(0.5)]
    write_hypotheses(runs["a"].paths.hypotheses_file("test"), english)
    summary = summarise(runs, build, OPTIONS)
    assert [each.label for each in summary.test_set.evaluations.values()] == ["test+task=st", "test"]
    assert summary.test_set.title == "st, macro average over en-de, en-fr"
    groups = read_task_groups(runs, build, OPTIONS, summary.test_set)
    assert [row.group for row in groups.rows if row.system == "b"] == ["st en-de", "st en-fr", "asr"]
    assert list(groups.rows[-1].scores) == ["wer"]
    tested = [row for row in groups.rows if row.p_value is not None]
    assert max(row.adjusted or 0 for row in tested) >= max(row.p_value or 0 for row in tested)
    asr = summarise(runs, build, replace(OPTIONS, split="test+task=asr"))
    assert [each.label for each in asr.test_set.evaluations.values()] == ["test", "test+task=asr"]
    assert asr.test_set.title == "asr"


def test_a_task_that_some_run_was_not_evaluated_for_is_said(tmp_path: Path) -> None:
    runs = {
        "a": write(tmp_path / "a", 0.5, tasks=["st", "asr", "mt"], labels=["test+task=asr"]),
        "b": write(tmp_path / "b", 0.2, tasks=["st", "asr", "mt"]),
    }
    headline = summarise(runs, build, OPTIONS).test_set
    groups = read_task_groups(runs, build, OPTIONS, headline)
    assert {row.group for row in groups.rows} == {"st en-de", "st en-fr"}
    assert groups.notes == ("asr: left out, as it was not evaluated (--task asr) for b",)
    with pytest.raises(RunError, match=r"task=mt/scores.json: missing; evaluations of this run: test, test\+task=asr;"):
        read_test_set(runs, build, OPTIONS, task="mt")


def test_a_run_of_another_task_is_compared_by_it_and_that_is_said(tmp_path: Path) -> None:
    runs = {
        "a": write(tmp_path / "a", 0.5, tasks=["st", "asr"], labels=["test+task=asr"]),
        "b": write(tmp_path / "b", 0.2, tasks=["mt"]),
    }
    headline = summarise(runs, build, OPTIONS).test_set
    assert headline.notes == ("b: compared by its task mt",)
    groups = read_task_groups(runs, build, OPTIONS, headline)
    assert groups.notes == ("asr: left out, as it was not evaluated (--task asr) for b",)


def test_the_report_shows_the_headline_and_what_is_beside_it(tmp_path: Path) -> None:
    runs = {"a": write(tmp_path / "a", 0.5), "b": write(tmp_path / "b", 0.2), "c": write(tmp_path / "c", 0.2, ["it"])}
    report = gather(runs, build, make("chrf"), ReportOptions(samples=40), title="x")
    assert [system.name for system in report.systems] == ["a", "b"]
    assert report.by_task is not None
    assert [row[0] for row in report.by_task.rows] == ["en-de", "en-de", "en-fr", "en-fr"]
    assert "c, left out of comparison and browser: the runs share no direction" in "".join(report.missing)
    page = render_report(report)
    assert "<p>Compared: macro average over en-de, en-fr.</p>" in page
    assert "By task and direction" in page


def test_a_run_without_tasks_has_one_headline(tmp_path: Path) -> None:
    run = RunFolder(write_run(tmp_path / "a"))
    assert headline_task(run, "test") == ""
    found = read_test_set({"a": run}, build, OPTIONS)
    assert (found.title, found.directions, found.languages) == ("", (), {"": ""})
    assert read_task_groups({"a": run}, build, OPTIONS, found).rows == ()


def test_a_config_that_is_not_text_is_named(tmp_path: Path) -> None:
    runs = {"a": write(tmp_path / "a", 0.5), "b": write(tmp_path / "b", 0.2)}
    runs["b"].paths.config_file.write_bytes(b"\x80")
    with pytest.raises(RunError, match=r"b/config.yaml: is not UTF-8 .*; restore it"):
        summarise(runs, build, OPTIONS)
