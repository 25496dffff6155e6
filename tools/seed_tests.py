"""``python -m tools.seed_tests PAGE``: the tests over seeds of an evidence page, from its table of scores by seed."""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from aista.scoring.holm import holm
from aista.scoring.seed_test import seed_test

__all__ = ["comparisons", "main", "scores_by_seed"]

Scores = Mapping[str, Mapping[int, float]]
"""Arm -> seed -> score."""


def scores_by_seed(page: str, metric: str) -> dict[str, dict[int, float]]:
    """The scores in the table of a page whose first columns are ``seed`` and ``arm``; an empty seed is the one above.

    Args:
        page: Markdown.
        metric: Name of the column.

    Raises:
        ValueError: there is no such table or column, or arms have different seeds.
    """
    tables = [[_cells(line) for line in block.splitlines()] for block in page.split("\n\n") if block.startswith("|")]
    found = [table for table in tables if table[0][:2] == ["seed", "arm"] and metric in table[0]]
    if len(found) != 1:
        raise ValueError(f"needs one table with the columns seed, arm and {metric}, got {len(found)}")
    header, _, *rows = found[0]
    scores: dict[str, dict[int, float]] = {}
    seed = ""
    for row in rows:
        seed = row[0] or seed
        scores.setdefault(row[1], {})[int(seed)] = float(row[header.index(metric)])
    if len({tuple(of_arm) for of_arm in scores.values()}) > 1:
        raise ValueError(f"arms must have the same seeds, got { ({arm: [*of_arm] for arm, of_arm in scores.items()}) }")
    return scores


def comparisons(scores: Scores, baseline: str, others: Sequence[str]) -> list[str]:
    """Rows of a Markdown table: difference from the baseline, t interval, sign-flip p, and p by Holm over all rows.

    Raises:
        ValueError: an arm is unknown.
    """
    if unknown := {baseline, *others} - scores.keys():
        raise ValueError(f"arms are {', '.join(scores)}, got {', '.join(sorted(unknown))}")
    differences = {arm: [score - scores[baseline][seed] for seed, score in scores[arm].items()] for arm in others}
    tests = {arm: seed_test(values) for arm, values in differences.items()}
    corrected = holm({arm: test.p_value for arm, test in tests.items() if test is not None})
    lines = []
    for arm, test in tests.items():
        mean, cells = statistics.fmean(differences[arm]), ["-", "-", "-"]
        if test is not None:
            interval = f"{test.interval.low:+.2f} to {test.interval.high:+.2f}"
            cells = [interval, f"{test.p_value:.3f}", f"{corrected[arm]:.3f}"]
        lines.append(f"| {arm} - {baseline} | {mean:+.2f} | {' | '.join(cells)} |")
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the mean scores of the arms and the comparisons."""
    parser = argparse.ArgumentParser(prog="python -m tools.seed_tests", description=__doc__)
    parser.add_argument("page", type=Path, help="Markdown page with a table of scores: seed, arm, metrics")
    parser.add_argument("--metric", default="BLEU", help="column (default: BLEU)")
    parser.add_argument("--baseline", help="arm that the others are compared with (default: the first)")
    parser.add_argument("--only", nargs="+", metavar="ARM", help="arms of one family (default: all others)")
    asked = parser.parse_args(arguments)
    try:
        scores = scores_by_seed(asked.page.read_text(encoding="utf-8"), asked.metric)
        baseline = asked.baseline or next(iter(scores))
        rows = comparisons(scores, baseline, asked.only or [arm for arm in scores if arm != baseline])
    except (OSError, ValueError) as error:
        parser.error(f"{asked.page}: {error}")
    print(f"| arm | {asked.metric}, mean (sd) |\n|---|---:|")
    for arm, of_arm in scores.items():
        spread = statistics.stdev(of_arm.values()) if len(of_arm) > 1 else float("nan")
        print(f"| {arm} | {statistics.fmean(of_arm.values()):.2f} ({spread:.2f}) |")
    print(f"\n| comparison | Δ {asked.metric} | 95 % (t) | p (sign flips) | p (Holm over {len(rows)}) |")
    print("|---|---:|---:|---:|---:|", *rows, sep="\n")
    return 0


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


if __name__ == "__main__":
    raise SystemExit(main())
