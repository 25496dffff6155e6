import re
from pathlib import Path

import pytest

from tools.seed_tests import comparisons, main, scores_by_seed

EVIDENCE = Path(__file__).parents[2] / "docs" / "evidence"
PAGE = """# Title

| seed | arm | BLEU | chrF |
|---|---|---:|---:|
| 1 | CE only | 1.0 | 2 |
| | AI-STA | 1.5 | 2 |
| 2 | CE only | 2.0 | 2 |
| | AI-STA | 2.6 | 2 |

| arm | BLEU |
|---|---:|
| CE only | 1.5 |
"""


def test_scores_are_read_by_arm_and_seed():
    assert scores_by_seed(PAGE, "BLEU") == {"CE only": {1: 1.0, 2: 2.0}, "AI-STA": {1: 1.5, 2: 2.6}}


def test_the_tests_are_those_of_a_published_page():
    """docs/evidence/sharper_test.md was tested by hand with its own scripts; its scores give the same figures."""
    rows = re.findall(r"^\| (\d+) \| ([\d., |]+) \|$", (EVIDENCE / "sharper_test.md").read_text(), re.MULTILINE)
    arms = ("CE only", "AI-STA", "token contrast", "words at exact times", "words at CTC times")
    scores = {arm: {} for arm in arms}
    for seed, cells in rows:
        for arm, cell in zip(arms, cells.split(" | "), strict=True):
            scores[arm][int(seed)] = float(cell.split(",")[0])
    assert len(scores["AI-STA"]) == 8
    primary = comparisons(scores, "AI-STA", ["token contrast"])[0]
    assert numbers(primary) == pytest.approx([6.6, 5.6, 7.6, 0.008, 0.008], abs=0.08)
    exact = comparisons(scores, "words at exact times", ["token contrast", "words at CTC times"])
    assert numbers(exact[0])[:4] == pytest.approx([0.1, -1.1, 1.2, 0.90], abs=0.08)
    assert numbers(exact[1])[:4] == pytest.approx([-1.1, -2.3, 0.2, 0.09], abs=0.08)


def numbers(row):
    return [float(number) for number in re.findall(r"[-+]?\d+\.\d+", row)]


@pytest.mark.parametrize(
    ("change", "arguments", "message"),
    [
        (("| AI-STA | 1.5 | 2 |\n| 2", "| AI-STA | 1.5 | 2 |\n| 3"), [], "arms must have the same seeds"),
        (("", ""), ["--metric", "TER"], "needs one table with the columns seed, arm and TER, got 0"),
        (("", ""), ["--only", "OT"], "arms are CE only, AI-STA, got OT"),
    ],
)
def test_a_table_that_will_not_do_is_named(tmp_path, capsys, change, arguments, message):
    page = tmp_path / "page.md"
    page.write_text(
        PAGE.replace(*change, 1).replace("| | AI-STA | 2.6 | 2 |\n", "" if change[0] else "| | AI-STA | 2.6 | 2 |\n")
    )
    with pytest.raises(SystemExit):
        main([str(page), *arguments])
    assert message in capsys.readouterr().err


def test_means_and_comparisons_are_printed(tmp_path, capsys):
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    assert main([str(page)]) == 0
    printed = capsys.readouterr().out
    assert "| CE only | 1.50 (0.71) |" in printed
    assert "| AI-STA - CE only | +0.55 | -0.09 to +1.19 | 0.500 | 0.500 |" in printed
