"""Renders the report as one self-contained HTML page."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from html import escape
from importlib import resources
from pathlib import Path

from aista.files import write_text
from aista.report.payload import payload
from aista.report.report import Report
from aista.report.sections import body

__all__ = ["render_report", "write_report"]

SCRIPTS = ("chart.js", "curves.js", "browser.js", "plan.js", "contents.js", "main.js")


def write_report(path: str | Path, report: Report) -> Path:
    """Write the page, atomically. It loads nothing from elsewhere.

    Returns:
        The path written.
    """
    path = Path(path)
    write_text(path, render_report(report))
    return path


def render_report(report: Report) -> str:
    """The page as HTML text; every text from outside is escaped, and no script but the page's own may run."""
    # the script: its files, one after the other, in a scope of their own
    script = '\n"use strict";\n(() => {\n' + "\n".join(map(_part, SCRIPTS)) + "})();\n"
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    policy = (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:; media-src data:"
    )
    return (
        "<!DOCTYPE html>\n"
        f'<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{escape(report.title)}</title>\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="color-scheme" content="light dark">\n<style>\n{_part("style.css")}</style>\n</head>\n'
        f"<body>\n{body(report)}\n"
        "<noscript>Charts, test utterances and transport plans need JavaScript.</noscript>\n"
        f'<script type="application/json" id="data">{payload(report)}</script>\n'
        f"<script>{script}</script>\n</body>\n</html>\n"
    )


@cache
def _part(name: str) -> str:
    return (resources.files("aista.report") / "page" / name).read_text(encoding="utf-8")
