"""Converts tutorials to notebooks: ``python -m tools.notebooks`` rewrites those of ``PAGES``."""

from __future__ import annotations

import json
import re
from pathlib import Path

from aista.files import write_text

__all__ = ["FENCE", "PAGES", "notebook"]

TUTORIALS = Path(__file__).parents[1] / "docs" / "tutorials"
PAGES = (TUTORIALS / "align_and_probe.md",)
"""The tutorials that are also published as notebooks."""
FENCE = re.compile(r'^```(\w+)(?: title="(.+?)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
"""A fenced block: its language, the name of its file if any, and its text."""


def notebook(page: str) -> str:
    """The page as a notebook (nbformat 4.5): blocks of Python and Bash are cells, what stands between them is text."""
    cells, end = [], 0
    for block in FENCE.finditer(page):
        language, file, text = block.groups()
        if language in ("python", "bash") and not file:
            cells += [("markdown", page[end : block.start()]), ("code", "%%bash\n" * (language == "bash") + text)]
            end = block.end()
    cells.append(("markdown", page[end:]))
    kept = [(kind, text.strip()) for kind, text in cells if text.strip()]
    content = {
        "cells": [_cell(str(number), kind, text) for number, (kind, text) in enumerate(kept)],
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


def _cell(name: str, kind: str, text: str) -> dict[str, object]:
    cell: dict[str, object] = {"cell_type": kind, "id": name, "metadata": {}, "source": text.splitlines(keepends=True)}
    return cell | ({"execution_count": None, "outputs": []} if kind == "code" else {})


def main() -> None:
    """Write the notebooks beside their pages."""
    for page in PAGES:
        write_text(page.with_suffix(".ipynb"), notebook(page.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
