"""SECURITY.md names tests and pages that are there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_what_holds_the_promises_exists():
    page = (ROOT / "SECURITY.md").read_text()
    tests = re.findall(r"`(tests/[\w/.]+)`", page)
    links = re.findall(r"\]\(([\w/.-]+)\)", page)
    assert len(tests) > 8
    assert [name for name in (*tests, *links) if not (ROOT / name).exists()] == []
    rows = [line for line in page.splitlines() if line.startswith("| ")]
    assert all("`tests/" in row for row in rows[1:])
