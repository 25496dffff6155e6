"""The page from run folders: complete, self-contained, escaped."""

from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from aista.analysis.report import Corpus, Report, Sample, render_report, write_report
from aista.analysis.run_folder import RunFolder
from aista.analysis.summary import Summary, curves_of_runs, report_of_runs, summarise
from aista.errors import DataError, RunError
from aista.scoring.hypotheses import HypothesisRow, write_hypotheses
from tests.analysis.conftest import write_run
from tests.scoring.helpers import make

CORPUS = Corpus("Sentences & <speech> from programs", synthetic=True, facts={"<n>": "400"})
VOID = {"meta", "br", "hr", "img", "link", "input"}


class Page(HTMLParser):
    """Checks that tags are balanced and collects what a browser would load."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "xlink:href") and value and not value.startswith(("#", "data:")):
                self.loaded.append(value)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag


def parse(html: str) -> Page:
    page = Page()
    page.feed(html)
    page.close()
    assert page.open == []
    return page


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunFolder]:
    folder = tmp_path_factory.mktemp("runs")
    aligned = write_run(folder / "aligned", error=0.2, noise=1.0, aligned=True)
    return {"CE only": RunFolder(write_run(folder / "ce")), "AI-STA <b>": RunFolder(aligned)}


@pytest.fixture(scope="module")
def summary(runs: dict[str, RunFolder]) -> Summary:
    return summarise(runs, [make("bleu"), make("chrf")], samples=60)


@pytest.fixture(scope="module")
def html(runs: dict[str, RunFolder], summary: Summary) -> str:
    return render_report(report_of_runs(runs, summary, title="A & B", corpus=CORPUS, command="make <quickstart>"))


def test_summary_scores_the_saved_hypotheses(runs: dict[str, RunFolder], summary: Summary) -> None:
    baseline, aligned = summary.systems
    references = [row.reference for row in summary.rows]
    for row in summary.systems:
        for name in ("bleu", "chrf"):
            assert row.scores[name] == make(name).score(summary.hypotheses[row.name], references).value
    assert (baseline.difference, baseline.p_value, baseline.layers) == (None, None, ())
    assert aligned.difference == pytest.approx(aligned.scores["bleu"] - baseline.scores["bleu"])
    assert (aligned.layers, aligned.seconds) == ((1, 2), 97.3)
    assert list(summary.signatures) == ["bleu", "chrf"]
    assert "bs:60|seed:12345" in summary.signatures["chrf"]


def test_page_holds_every_section(html: str, summary: Summary) -> None:
    titles = re.findall("<h2>(.*?)</h2>", html)
    assert titles == [
        "Result",
        "Where speech and text meet",
        "Training",
        "What is aligned with what",
        "Sample translations",
        "Corpus",
        "How to make it again",
    ]
    assert html.count("<svg") == 4
    assert "Synthetic corpus" in html
    assert "make &lt;quickstart&gt;" in html
    assert "versions.torch" in html
    assert "name: &lt;b&gt;&amp;" in html
    assert "AI-STA &lt;b&gt;" in html
    assert summary.signatures["bleu"] in html
    assert "retrieval, step 60: mrr" in html


def test_page_loads_nothing_and_is_balanced(html: str) -> None:
    page = parse(html)
    assert page.loaded == []
    assert "b" not in page.tags
    assert not {"script", "link", "iframe"} & set(page.tags)
    assert "@import" not in html
    assert not re.search(r"url\((?!#)", html)


def test_everything_from_outside_is_escaped() -> None:
    evil = "<script>alert('x')</script>"
    sample = Sample(evil, evil, evil, {evil: evil})
    report = Report(
        title=evil,
        corpus=Corpus(evil, synthetic=False, facts={evil: evil}),
        command=evil,
        samples=[sample],
        sample_rule=evil,
        selection_reason=evil,
        signatures={evil: evil},
        configs={evil: evil},
        environment={evil: {evil: evil}},
    )
    html = render_report(report)
    assert "script" not in parse(html).tags
    assert html.count("&lt;script&gt;") > 10


def test_labels_are_escaped_in_figures(runs: dict[str, RunFolder]) -> None:
    curves = {"<script>x</script>": curves_of_runs(runs)["CE only"]}
    html = render_report(Report(title="t", corpus=CORPUS, curves=curves))
    assert "script" not in parse(html).tags


def test_real_data_carry_no_synthetic_label() -> None:
    html = render_report(Report(title="t", corpus=Corpus("Field recordings", synthetic=False)))
    assert "ynthetic" not in html
    assert re.findall("<h2>(.*?)</h2>", html) == ["Corpus"]


def test_write_report_is_atomic_and_makes_the_folder(tmp_path: Path) -> None:
    report = Report(title="é", corpus=CORPUS)
    path = write_report(tmp_path / "new/report.html", report)
    assert path.read_text(encoding="utf-8") == render_report(report)
    assert [item.name for item in path.parent.iterdir()] == ["report.html"]


def test_samples_are_spread_over_the_test_set(runs: dict[str, RunFolder], summary: Summary) -> None:
    report = report_of_runs(runs, summary, title="t", corpus=CORPUS, num_samples=4)
    assert [sample.id for sample in report.samples] == ["u0", "u20", "u40", "u60"]
    assert report.sample_rule.startswith("One utterance in 20")
    assert report.samples[1].hypotheses["CE only"] == summary.hypotheses["CE only"][20]
    few = dataclasses.replace(summary, rows=summary.rows[:3])
    assert len(report_of_runs(runs, few, title="t", corpus=CORPUS, num_samples=4).samples) == 3
    assert report_of_runs(runs, summary, title="t", corpus=CORPUS, num_samples=0).samples == []


def test_curve_labels_name_run_and_probe(runs: dict[str, RunFolder], run_path: Path) -> None:
    runs = {"CE only": runs["CE only"], "AI-STA": RunFolder(run_path)}
    (run_path / "probe/early.json").write_bytes((run_path / "probe/final.json").read_bytes())
    assert list(curves_of_runs(runs)) == [
        "CE only",
        "AI-STA: before alignment (step 60)",
        "AI-STA: early",
        "AI-STA: final",
    ]


def test_impossible_summaries(runs: dict[str, RunFolder], tmp_path: Path) -> None:
    with pytest.raises(RunError, match="at least two runs, got CE only"):
        summarise({"CE only": runs["CE only"]}, [make("bleu")])
    with pytest.raises(ValueError, match="at least one metric"):
        summarise(runs, [])
    with pytest.raises(RunError, match=r"`aista evaluate .* --split dev` makes it"):
        summarise(runs, [make("bleu")], split="dev")
    other = write_run(tmp_path / "other")
    write_hypotheses(other / "evaluation/test/hypotheses.tsv", [HypothesisRow("z", "", "r", "h")])
    with pytest.raises(DataError, match="evaluated on other utterances"):
        summarise({**runs, "other": RunFolder(other)}, [make("bleu")])
