"""The page from run folders: complete, self-contained, escaped; what is missing is named."""

from __future__ import annotations

import dataclasses
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from aista.errors import DataError, RunError
from aista.report.gather import gather, manifest_of, with_clips
from aista.report.render import render_report, write_report
from aista.report.report import Corpus, Report, RunCurve, TrainingRun
from aista.report.report_options import ComparisonOptions, ReportOptions
from aista.report.summary import Summary, summarise
from aista.report.utterances import Browser, Utterance
from aista.run_folder.contents import RunFolder
from aista.run_folder.probes import Plan
from aista.scoring.hypotheses import HypothesisRow, write_hypotheses
from tests.scoring.helpers import just, make
from tests.written_runs import make_curve, write_run

CORPUS = Corpus("Sentences & <speech> from programs", synthetic=True, facts={"<n>": "400"})
VOID = {"meta", "br", "hr", "img", "link", "input"}
EVIL = "</script><script>document.title = 'evil'</script><!-- & \u2028"


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


def data_of(html: str) -> dict[str, object]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)
    assert found
    data = json.loads(found[1])
    assert isinstance(data, dict)
    return data


def report_of(runs: dict[str, RunFolder], **options: int) -> Report:
    return gather(
        runs, just(make("bleu"), make("chrf")), make("chrf"), ReportOptions(samples=60, **options), title="A & B"
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunFolder]:
    folder = tmp_path_factory.mktemp("runs")
    aligned = write_run(folder / "aligned", error=0.2, noise=1.0, aligned=True)
    third = write_run(folder / "third", error=0.25, noise=1.5)
    return {"CE only": RunFolder(write_run(folder / "ce")), "AI-STA <b>": RunFolder(aligned), "3": RunFolder(third)}


@pytest.fixture(scope="module")
def summary(runs: dict[str, RunFolder]) -> Summary:
    return summarise(runs, just(make("bleu"), make("chrf")), ComparisonOptions(samples=60))


@pytest.fixture(scope="module")
def report(runs: dict[str, RunFolder]) -> Report:
    return dataclasses.replace(report_of(runs), corpus=CORPUS, command="make <quickstart>")


@pytest.fixture(scope="module")
def html(report: Report) -> str:
    return render_report(report)


def test_summary_scores_the_saved_hypotheses(runs: dict[str, RunFolder], summary: Summary) -> None:
    baseline, aligned, _ = summary.systems
    references = [row.reference for row in summary.rows]
    for row in summary.systems:
        for name in ("bleu", "chrf"):
            assert row.scores[name] == make(name).score(summary.hypotheses[row.name], references).value
    assert (baseline.difference, baseline.p_value, baseline.layers) == (None, None, ())
    assert aligned.difference == pytest.approx(aligned.scores["bleu"] - baseline.scores["bleu"])
    assert (aligned.layers, aligned.seconds) == ((1, 2), 97.3)
    assert list(summary.signatures) == ["bleu", "chrf"]
    assert "bs:60|seed:12345" in summary.signatures["chrf"]


def test_page_holds_every_section(html: str, report: Report) -> None:
    assert re.findall("<h2>(.*?)</h2>", html) == [
        "What is missing",
        "Result",
        "Cross-modal retrieval per layer",
        "Training",
        "Test utterances",
        "Transport plans",
        "Data",
        "What was run",
    ]
    assert "<h3>Does better retrieval go with better BLEU?</h3>" in html
    assert "Synthetic corpus" in html
    assert "make &lt;quickstart&gt;" in html
    assert "versions.torch" in html
    assert "name: &lt;b&gt;&amp;" in html
    assert "AI-STA &lt;b&gt;" in html
    assert report.signatures["bleu"] in html
    assert "layers [1, 2] by retrieval after 60 steps: mrr" in html


def test_page_data_are_those_of_the_folders(html: str, runs: dict[str, RunFolder], summary: Summary) -> None:
    data = json.loads(json.dumps(data_of(html)))
    assert data["runs"] == list(runs)
    nll = [item for item in data["training"]["series"]["nll"] if item["split"] == "valid"]
    assert [step for step, _ in nll[0]["points"]] == [50, 100, 150, 200]
    curves = {curve["label"]: curve for curve in data["retrieval"]["curves"]}
    assert list(curves) == ["CE only", "AI-STA <b>: before alignment (step 60)", "AI-STA <b>", "3"]
    probe = runs["CE only"].probe("final").curve
    assert curves["CE only"]["values"]["recall@5"]["text_to_speech"] == list(
        probe.values("recall@5", "text_to_speech").values()
    )
    first = data["utterances"][0]
    assert first["hypotheses"] == [texts[0] for texts in summary.hypotheses.values()]
    (plan,) = data["plans"]
    assert (plan["run"], plan["layers"]["1"]["rows"], plan["layers"]["1"]["columns"]) == (1, 14, 40)
    assert len(data["correlation"]["layers"]["2"]) == 3


def test_intervals_are_bands_where_the_probe_measured_them() -> None:
    curves = [RunCurve("a", "a", make_curve(2.0, resamples=60)), RunCurve("b", "b", make_curve(2.0))]
    data = json.loads(json.dumps(data_of(render_report(Report(title="t", runs=["a", "b"], curves=curves)))))
    measured, plain = (curve["bands"] for curve in data["retrieval"]["curves"])
    assert plain == {}
    values = data["retrieval"]["curves"][0]["values"]["mrr"]["both"]
    assert len(measured["mrr both"]) == len(values) == 5
    assert all(low <= value <= high for (low, high), value in zip(measured["mrr both"], values, strict=True))


def test_page_loads_nothing_and_is_balanced(html: str) -> None:
    page = parse(html)
    assert page.loaded == []
    assert "b" not in page.tags
    assert not {"link", "iframe"} & set(page.tags)
    assert page.tags.count("script") == 2
    assert "@import" not in html
    assert not re.search(r"url\((?!#)", html)
    assert "default-src 'none'" in html


def test_everything_from_outside_is_escaped() -> None:
    item = Utterance(EVIL, EVIL, EVIL, {EVIL: EVIL}, {EVIL: 3.0})
    plan = Plan(EVIL, (EVIL,), None, 0, {0: [[1.0]]})
    report = Report(
        title=EVIL,
        runs=[EVIL],
        corpus=Corpus(EVIL, synthetic=False, facts={EVIL: EVIL}),
        command=EVIL,
        missing=[EVIL],
        browser=Browser(EVIL, EVIL, EVIL, (item,), 1),
        plans=[(EVIL, plan)],
        training={EVIL: TrainingRun([{"step": 1, EVIL: 2.0}])},
        selections={EVIL: EVIL},
        signatures={EVIL: EVIL},
        configs={EVIL: json.dumps({"note": EVIL})},
        data={EVIL: {EVIL: EVIL}},
        environments={EVIL: {EVIL: {EVIL: EVIL}}},
    )
    html = render_report(report)
    assert parse(html).tags.count("script") == 2
    data = json.loads(json.dumps(data_of(html)))
    assert data["utterances"][0]["transcript"] == EVIL
    assert data["plans"][0]["tokens"] == [EVIL]


def test_labels_are_escaped_in_figures(runs: dict[str, RunFolder]) -> None:
    renamed = {"<script>x</script>": runs["CE only"], "<script>y</script>": runs["3"]}
    assert parse(render_report(report_of(renamed))).tags.count("script") == 2


def test_real_data_carry_no_synthetic_label() -> None:
    html = render_report(Report(title="t", corpus=Corpus("Field recordings", synthetic=False)))
    assert "ynthetic" not in html
    assert re.findall("<h2>(.*?)</h2>", html) == ["Data"]


def test_the_configs_notes_on_the_corpus_stand_at_the_head() -> None:
    configs = {"a": "corpus_note: <tones>\n", "b": "corpus_note: <tones>\n", "c": "corpus_note: ''\n", "d": "seed: 1\n"}
    html = render_report(Report(title="t", runs=list(configs), configs=configs))
    assert re.findall('<p class="badge">(.*?)</p>', html) == ["&lt;tones&gt;"]


def test_write_report_is_atomic_and_makes_the_folder(tmp_path: Path) -> None:
    report = Report(title="é", corpus=CORPUS)
    path = write_report(tmp_path / "new/report.html", report)
    assert path.read_text(encoding="utf-8") == render_report(report)
    assert [item.name for item in path.parent.iterdir()] == ["report.html"]


def test_numbers_that_json_lacks_are_gaps_and_long_curves_are_thinned() -> None:
    rows = [{"step": float(step), "nll": float("nan") if step == 900 else 1.0} for step in range(1, 1201)]
    report = Report(title="t", runs=["a"], training={"a": TrainingRun(rows)})
    data = json.loads(json.dumps(data_of(render_report(report))))
    points = data["training"]["series"]["nll"][0]["points"]
    assert len(points) == 300
    assert [step for step, value in points if value is None] == [900]
    assert points[0] == [4.0, 1.0]


def test_recorded_nulls_are_gaps_and_of_several_learning_rates_the_first_is_shown() -> None:
    rows = [{"step": 1.0, "nll": None, "lr": [0.5, 0.1]}]
    report = Report(title="t", runs=["a"], training={"a": TrainingRun(rows)})
    series = json.loads(json.dumps(data_of(render_report(report))))["training"]["series"]
    assert series["nll"][0]["points"] == [[1.0, None]]
    assert series["lr"][0]["points"] == [[1.0, 0.5]]


def test_a_single_run_shows_its_saved_scores(runs: dict[str, RunFolder]) -> None:
    report = report_of({"3": runs["3"]})
    assert report.systems == ()
    assert report.saved is not None
    assert report.saved.rows == (("3", "BLEU", "40.0", "nrefs:1"),)
    assert report.browser is not None
    assert parse(render_report(report)).tags.count("script") == 2


def test_what_a_folder_lacks_is_named(tmp_path: Path, runs: dict[str, RunFolder]) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "config.yaml").write_text("seed: 1\n")
    damaged = write_run(tmp_path / "damaged")
    (damaged / "probe/final.json").write_text("{")
    (damaged / "environment.json").write_bytes(b"\xff")
    (damaged / "metrics/train.jsonl").write_text("no json\n")
    other = write_run(tmp_path / "other")
    write_hypotheses(other / "evaluation/test/hypotheses.tsv", [HypothesisRow("z", "", "r", "h")])
    folders = {"bare": RunFolder(bare), "damaged": RunFolder(damaged), "other": RunFolder(other), "3": runs["3"]}
    report = report_of(folders)
    notes = "\n".join(report.missing)
    for expected in (
        "bare, hypotheses: ",
        "`aista evaluate",
        "bare, training metrics: ",
        "bare: its training is not complete",
        "bare, environment: ",
        "damaged, probes: ",
        "damaged, environment: ",
        "damaged, training metrics: ",
        "other, left out of comparison and browser: 'damaged' and 'other' were evaluated on other utterances",
    ):
        assert expected in notes
    assert [system.name for system in report.systems] == ["damaged", "3"]
    html = render_report(report)
    assert "bare: its training is not complete" in html
    assert parse(html).tags.count("script") == 2


def test_nothing_at_all_is_still_a_page(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("seed: 1\n")
    report = report_of({"bare": RunFolder(tmp_path)})
    assert report.browser is None
    assert with_clips(report, {"bare": RunFolder(tmp_path)}, max_clips=3, max_mib=1) is report
    assert re.findall("<h2>(.*?)</h2>", render_report(report)) == ["What is missing", "What was run"]


def test_audio_needs_the_manifest(runs: dict[str, RunFolder], tmp_path: Path) -> None:
    report = with_clips(report_of(runs), runs, max_clips=3, max_mib=1)
    assert "audio: " in report.missing[-1]
    assert "the config names none" in report.missing[-1]
    run = write_run(tmp_path / "run")
    (tmp_path / "tiny.tsv").write_text("")
    (run / "config.yaml").write_text(json.dumps({"data": {"test": str(tmp_path / "tiny.tsv")}}))
    assert manifest_of(RunFolder(run), "test") == tmp_path / "tiny.tsv"
    with pytest.raises(DataError, match="of its dev set is not there"):
        manifest_of(RunFolder(run), "dev")


def test_impossible_summaries(runs: dict[str, RunFolder], tmp_path: Path) -> None:
    with pytest.raises(RunError, match="at least two different runs, got CE only"):
        summarise({"CE only": runs["CE only"]}, just(make("bleu")), ComparisonOptions())
    with pytest.raises(ValueError, match="at least one metric"):
        summarise(runs, just(), ComparisonOptions())
    with pytest.raises(RunError, match=r"`aista evaluate .* --split dev` makes it"):
        summarise(runs, just(make("bleu")), ComparisonOptions(split="dev"))
    other = write_run(tmp_path / "other")
    write_hypotheses(other / "evaluation/test/hypotheses.tsv", [HypothesisRow("z", "", "r", "h")])
    with pytest.raises(DataError, match="evaluated on other utterances"):
        summarise({**runs, "other": RunFolder(other)}, just(make("bleu")), ComparisonOptions())
