"""The look of all figures, and their output as SVG text or PNG file."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import get_font_names

from aista.files import replacing

__all__ = ["COLORS", "GREY", "MARKERS", "empty", "line_look", "panels", "printable", "save_png", "style", "to_svg"]

# Okabe and Ito (2008): distinguishable with any colour vision; markers and dashes say the same in grey.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", "--", "-.", ":", "-", "--", "-.")
GREY = "#5f6368"
FONTS = (
    "DejaVu Sans",
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "Noto Sans JP",
    "Hiragino Sans",
    "Yu Gothic",
    "Microsoft YaHei",
    "WenQuanYi Zen Hei",
    "IPAexGothic",
    "Noto Sans Devanagari",
    "Noto Sans Arabic",
)


@cache
def _fonts() -> list[str]:
    installed = set(get_font_names())
    return [name for name in FONTS if name in installed] + ["sans-serif"]


@contextmanager
def style() -> Iterator[None]:
    """Apply the settings while drawing or saving, and restore matplotlib's global state afterwards."""
    settings: Any = {
        "axes.axisbelow": True,
        "axes.edgecolor": GREY,
        "axes.grid": True,
        "axes.labelsize": 11,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlelocation": "left",
        "axes.titlesize": 12,
        "figure.facecolor": "white",
        "font.family": _fonts(),
        "font.size": 11,
        "grid.color": "#e4e6e8",
        "legend.fontsize": 10,
        "legend.frameon": False,
        "svg.fonttype": "none",  # text stays text: small files, searchable, any script the reader's fonts have
        "svg.hashsalt": "aista",
        "text.parse_math": False,  # a transcript's dollar signs are not formulas
        "xtick.labelsize": 10,
        "ytick.labelsize": 10,
    }
    with matplotlib.rc_context(settings):
        yield


def panels(count: int, *, width: float = 5.6, height: float = 3.8) -> tuple[Figure, list[Axes]]:
    """A figure with ``count`` axes side by side, each of the given size in inches."""
    figure = Figure(figsize=(width * count, height), layout="constrained")
    return figure, list(figure.subplots(1, count, squeeze=False)[0])


def empty(axes: Axes, message: str) -> None:
    """Write a message into empty axes."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, message, ha="center", va="center", color=GREY, transform=axes.transAxes)


def line_look(number: int) -> dict[str, Any]:
    """Colour, marker and dashes of the line of this number, as arguments of ``Axes.plot``."""
    pick = number % len(COLORS)
    return {"color": COLORS[pick], "marker": MARKERS[pick], "ls": DASHES[pick], "lw": 2, "mec": "white"}


def printable(text: str) -> str:
    """Text that XML and a label can hold: control characters appear as escapes."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def to_svg(figure: Figure) -> str:
    """An ``<svg>`` element to embed in HTML, on the page's background; the same figure gives the same text."""
    buffer = io.StringIO()
    with style(), warnings.catch_warnings():
        # The text is kept as text, so the reader's fonts, not ours, must have the glyphs.
        warnings.filterwarnings("ignore", r"Glyph .* missing from font", UserWarning)
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :].strip()


def save_png(figure: Figure, path: str | Path, *, dpi: int = 150) -> None:
    """Write the figure as a PNG file, atomically."""
    with style(), replacing(Path(path)) as temporary:
        figure.savefig(temporary, format="png", dpi=dpi)
