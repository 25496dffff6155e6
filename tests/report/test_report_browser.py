"""The page in a real browser: it opens without a complaint, asks for nothing, and its controls do what they say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from aista.report.gather import gather
from aista.report.render import write_report
from aista.report.report_options import ReportOptions
from aista.run_folder.contents import RunFolder
from tests.report.chromium import EVIL, Visit
from tests.scoring.helpers import just, make
from tests.written_runs import write_run


def seconds_of(page: Any) -> float:
    """Seconds on the time axis of the plan that is shown."""
    data = json.loads(page.locator("#data").text_content())
    (plan,) = [plan for plan in data["plans"] if plan["id"] == "u4"]
    return plan["seconds"] * plan["layers"]["1"]["columns"]


def deltas(page: Any) -> list[float]:
    return [float(text.removeprefix("Δ ")) for text in page.locator(".utterance .delta").all_inner_texts()]


def test_it_opens_and_text_from_corpora_stays_text(visit: Visit) -> None:
    page = visit.page
    assert page.title() == EVIL
    assert page.locator("script").count() == 2
    assert page.locator("img").count() == 0
    page.fill("#filter", "needle")
    assert page.locator(".utterance").get_attribute("data-id") == "u4"
    assert EVIL in page.locator(".utterance td", has_text="needle").first.inner_text()
    assert page.locator(".chart svg").count() >= 3


def test_the_route_notices_a_request(browser: Any, tmp_path: Path) -> None:
    (tmp_path / "bad.html").write_text('<img src="http://example.invalid/x.png">')
    found = Visit(browser, tmp_path / "bad.html")
    assert found.requests == ["http://example.invalid/x.png"]
    found.page.close()


def test_the_policy_stops_what_was_smuggled_in(browser: Any, file: Path, tmp_path: Path) -> None:
    bad = "<script>document.title = 'evil'</script><img src='http://example.invalid/x.png'></body>"
    (tmp_path / "bad.html").write_text(file.read_text().replace("</body>", bad))
    found = Visit(browser, tmp_path / "bad.html")
    assert found.page.title() == EVIL
    assert found.requests == []
    assert len(found.complaints) == 2
    found.page.close()


def test_filter_and_more(visit: Visit) -> None:
    page = visit.page
    page.select_option("#order", "corpus")
    assert page.locator(".status").inner_text() == "80 of 80 utterances, 20 shown"
    page.click("#more")
    assert page.locator(".utterance").count() == 40
    page.fill("#filter", "SOURCE 17")
    assert page.locator(".utterance").get_attribute("data-id") == "u17"
    page.fill("#filter", "in no text")
    assert page.locator(".status").inner_text() == "0 of 80 utterances, 0 shown"
    page.fill("#filter", "")
    page.check("#with-audio")
    assert page.locator(".utterance").count() == page.locator(".utterance audio").count() == 3


def test_sort(visit: Visit) -> None:
    page = visit.page
    page.select_option("#order", "best")
    best = deltas(page)
    assert best == sorted(best, reverse=True)
    page.select_option("#order", "worst")
    worst = deltas(page)
    assert worst == sorted(worst)
    assert worst[0] < best[0]
    page.select_option("#order", "corpus")
    assert page.locator(".utterance").nth(3).get_attribute("data-id") == "u3"
    page.select_option("#second", "1")
    page.select_option("#order", "best")
    assert deltas(page) != best


def test_gains_and_losses_stand_side_by_side_at_first(visit: Visit) -> None:
    page = visit.page
    gains, losses = page.locator(".columns > div").all()
    equal = page.locator("#utterances > div", has_text="equal:").last
    found = [[float(text[1:]) for text in side.locator(".delta").all_inner_texts()] for side in (gains, losses)]
    assert all(value > 0 for value in found[0])
    assert all(value < 0 for value in found[1])
    assert found == [sorted(found[0], reverse=True), sorted(found[1])]
    assert len(found[0]) == len(found[1]) == 10
    counts = [int(side.locator("h3").inner_text().split(": ")[1]) for side in (gains, losses, equal)]
    assert sum(counts) == 80
    assert gains.bounding_box()["y"] == losses.bounding_box()["y"]
    while page.locator("#more").count():
        page.click("#more")
    assert [side.locator(".utterance").count() for side in (gains, losses, equal)] == counts


def test_the_playhead_follows_the_sound_and_a_click(visit: Visit) -> None:
    page = visit.page
    page.select_option("#plan-utterance", "u4")
    assert page.locator("#playhead").is_hidden()
    audio = page.locator("#plans audio")
    plan = page.locator("#plan")
    box = plan.bounding_box()
    for share in (0.75, 0.25):
        plan.click(position={"x": 130 + share * (box["width"] - 130), "y": 20})
        page.wait_for_function(
            "() => [...document.querySelectorAll('#plans audio')].every((one) => one.currentTime > 0 && !one.seeking)"
        )
        page.locator("#playhead").wait_for(state="visible")
        left = page.locator("#playhead").bounding_box()["x"] - box["x"]
        assert left == pytest.approx(
            130 + audio.evaluate("audio => audio.currentTime") / seconds_of(page) * (box["width"] - 130), abs=2
        )
    page.select_option("#plan-utterance", "test_0001")
    assert page.locator("#playhead").is_hidden()


def test_word_differences(visit: Visit) -> None:
    page = visit.page
    page.fill("#filter", "needle")
    row = page.locator(".utterance tr", has_text="third")
    assert row.locator("ins").all_inner_texts() == ["hypothesis", "2"]
    assert row.locator("del").all_inner_texts() == ["reference"]


def test_layer_switch_draws_another_plan(visit: Visit) -> None:
    page = visit.page
    page.select_option("#plan-utterance", "u4")

    def picture() -> str:
        return str(page.evaluate("document.getElementById('plan').toDataURL()"))

    assert page.locator("#plan-caption").inner_text() == "AI-STA, layer 1, utterance u4"
    first = picture()
    page.select_option("#plan-layer", "2")
    assert page.locator("#plan-caption").inner_text() == "AI-STA, layer 2, utterance u4"
    assert picture() != first
    page.select_option("#plan-layer", "1")
    assert picture() == first
    page.select_option("#plan-utterance", "test_0001")
    assert picture() != first


def test_metric_and_score_switch(visit: Visit) -> None:
    page = visit.page
    page.select_option("#training-metric", "bleu")
    assert "BLEU" in page.locator("#training svg").first.text_content()
    before = page.locator("#retrieval path.line").first.get_attribute("d")
    page.select_option("#retrieval-score", "recall@1")
    assert page.locator("#retrieval path.line").first.get_attribute("d") != before
    lines = page.locator("#retrieval > .chart > svg path.line").count()
    page.locator("#retrieval .legend button").first.click()
    assert page.locator("#retrieval > .chart > svg path.line").count() == lines - 1
    page.select_option("#correlation-layer", "3")
    assert "MRR at layer 3" in page.locator("#correlation svg").first.text_content()


def test_audio_plays(visit: Visit) -> None:
    page = visit.page
    page.check("#with-audio")
    script = "audio => new Promise(done => { audio.onloadedmetadata = () => done(audio.duration); audio.load(); })"
    page.evaluate("document.querySelectorAll('.utterance audio').forEach(audio => { audio.preload = 'metadata'; })")
    assert page.locator(".utterance audio").first.evaluate(script) == pytest.approx(1.0, abs=0.15)


def test_a_single_run_and_a_bare_one_open_without_a_complaint(browser: Any, tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "config.yaml").write_text("seed: 1\n")
    for path in (write_run(tmp_path / "single"), tmp_path / "bare"):
        report = gather(
            {path.name: RunFolder(path)}, just(make("bleu")), make("chrf"), ReportOptions(), title=path.name
        )
        found = Visit(browser, write_report(tmp_path / f"{path.name}.html", report))
        assert (found.complaints, found.requests) == ([], [])
        if path.name == "single":
            assert found.page.locator(".utterance").nth(3).get_attribute("data-id") == "u3"
            found.page.select_option("#order", "best")
            scores = [float(text.removeprefix("chrF ")) for text in found.page.locator(".delta").all_inner_texts()]
            assert scores == sorted(scores, reverse=True)
            assert len(scores) == 20
        found.page.close()


def test_options_that_differ_are_marked(visit: Visit) -> None:
    page = visit.page
    assert page.locator("details", has_text="Options that differ").locator("td.differs").all_inner_texts() == ["1", "2"]
    marks = page.locator("pre mark").all_text_contents()
    assert [re.sub(r"\s", "", text) for text in marks] == ["seed:0", "seed:1", "seed:2"]
