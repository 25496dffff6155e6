"""The page as it is read: by keyboard, on a telephone, in the dark, on paper."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from aista.report.gather import gather
from aista.report.render import write_report
from aista.report.report_options import ReportOptions
from aista.run_folder.contents import RunFolder
from tests.report.chromium import Visit
from tests.scoring.helpers import just, make
from tests.written_runs import write_run


def test_the_contents_follow_the_reader(visit: Visit) -> None:
    page = visit.page
    titles = page.locator("section > h2").all_inner_texts()
    assert page.locator("#contents a").all_inner_texts() == titles
    for title in (titles[-1], "Training", titles[0]):
        page.evaluate(
            "id => document.getElementById(id).scrollIntoView()", f"section-{title.lower().replace(' ', '-')}"
        )
        page.wait_for_function("name => document.querySelector('[aria-current]').textContent === name", arg=title)


def test_a_chart_is_read_by_keyboard(visit: Visit) -> None:
    page = visit.page
    note = page.locator("#retrieval .readout")
    page.locator("#retrieval > .chart > svg").focus()
    read = []
    for key in ("End", "Home", "ArrowRight", "ArrowLeft", "ArrowLeft"):
        page.keyboard.press(key)
        read.append(note.inner_text().split(":")[0])
    assert read == ["4", "0", "1", "0", "0"]
    assert note.inner_text().count(";") == page.locator("#retrieval .legend button").count() - 1
    first = page.locator("#retrieval .legend button").first
    first.focus()
    page.keyboard.press("Enter")
    assert first.get_attribute("aria-pressed") == "false"
    assert first.evaluate("button => button === document.activeElement")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_telephone_shows_all_of_it(browser: Any, file: Path, scheme: str) -> None:
    found = Visit(browser, file, width=400, scheme=scheme)
    page = found.page
    assert page.evaluate("document.documentElement.scrollWidth") == 400
    svg = page.locator("#training svg").first.bounding_box()
    assert svg["width"] <= 400
    sizes = page.locator("#training > .chart > svg text").evaluate_all(
        "texts => texts.map(text => text.getBoundingClientRect().height)"
    )
    assert min(sizes) > 10  # pixels: not shrunk with the chart
    back = page.evaluate(
        "[...document.getElementById('plan').getContext('2d').getImageData(1, 1, 1, 1).data].slice(0, 3)"
    )
    assert (sum(back) < 120) == (scheme == "dark")
    page.set_viewport_size({"width": 1000, "height": 900})
    page.wait_for_function("() => document.querySelector('#training svg').getBoundingClientRect().width > 800")
    page.wait_for_function("() => document.getElementById('plan').getBoundingClientRect().width > 800")
    assert found.complaints == []
    page.close()


def test_on_paper_all_is_open_and_nothing_waits_for_a_hand(visit: Visit) -> None:
    page = visit.page
    closed = page.locator("details:not([open])").count()
    assert closed > 0
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    assert page.locator("details:not([open])").count() == 0
    assert not any(part.is_visible() for part in page.locator("#contents, .controls, audio, #more").all())
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert page.locator("details:not([open])").count() == closed


def test_a_layer_that_no_curve_has_is_not_shaded(browser: Any, tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", aligned=True)
    report = gather({"run": RunFolder(path)}, just(make("bleu")), make("chrf"), ReportOptions(), title="layers")
    found = Visit(browser, write_report(tmp_path / "page.html", dataclasses.replace(report, selected=[1, 9])))
    widths = found.page.locator("rect.shaded").evaluate_all("rects => rects.map(rect => +rect.getAttribute('width'))")
    assert widths == [32]
    assert found.complaints == []
    found.page.close()
