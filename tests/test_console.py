"""Nothing that a manifest, a file name or a model says is obeyed by a terminal."""

import io
import logging
import sys
import types
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from aista.cli.main import main
from aista.console import duration, escaped, hanging, say
from aista.report.printed_tables import print_table
from aista.report.tables import Table
from aista.terminal import MessageFormatter, stage_bars

HOSTILE = "\x1b]0;owned\x07\x9b31m\x7f\r\u202etxt.\u2066\u2028\udce9"
SHOWN = r"\x1b]0;owned\x07\x9b31m\x7f\r\u202etxt.\u2066\u2028\udce9"
OBEYED = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def is_obeyed(char):
    return unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"} or unicodedata.bidirectional(char) in OBEYED


@given(st.text(st.characters()) | st.text(st.sampled_from(HOSTILE + "a")))
def test_what_a_terminal_obeys_is_shown_and_the_rest_stays(text):
    shown = escaped(text)
    assert not any(map(is_obeyed, shown))
    kept = [char for char in text if not is_obeyed(char)]
    rest = iter(shown)
    assert all(char in rest for char in kept)
    if len(kept) == len(text):
        assert shown == text


def test_one_line_of_ascii_escapes():
    assert escaped(f"a\t{HOSTILE}\n") == rf"a\t{SHOWN}\n"
    assert escaped("नमस्ते \u200f日本 C:\\x") == "नमस्ते \u200f日本 C:\\x"


def test_a_message_keeps_its_lines_alone():
    stream = io.StringIO()
    say(f"one {HOSTILE}\n  two\tthree", stream)
    assert stream.getvalue() == f"one {SHOWN}\n  two\\tthree\n"


def test_log_lines():
    record = logging.LogRecord("aista", logging.INFO, "", 0, "row %s\nnext", (HOSTILE,), None)
    assert MessageFormatter("%(message)s").format(record) == f"row {SHOWN}\nnext"


def test_tables_and_bars():
    stream = io.StringIO()
    console = Console(file=stream, width=300, force_terminal=True, color_system=None)
    print_table(console, Table(HOSTILE, ("id", HOSTILE), ((HOSTILE, "[red]1"),)))
    assert stream.getvalue().count(SHOWN) == 3
    with stage_bars(console) as progress:
        progress(f"checking [bold]{HOSTILE}", 0, 1)
    assert f"checking [bold]{SHOWN}" in stream.getvalue()
    assert "\x1b]" not in stream.getvalue()


@pytest.mark.parametrize(
    "arguments",
    [
        (HOSTILE,),
        ("list", HOSTILE),
        ("train", "run", "--config", HOSTILE),
        ("data", "check", HOSTILE),
        ("evaluate", HOSTILE),
        ("compare", "--samples", HOSTILE, "a", "b"),
    ],
)
def test_errors(arguments, capsys):
    try:
        code = main(arguments)
    except SystemExit as stop:
        code = stop.code
    assert code != 0
    shown = capsys.readouterr().err
    assert r"\x1b]0;owned\x07" in shown.replace("\\\\", "\\")
    assert not any(is_obeyed(char) for char in shown if char != "\n")


def test_what_a_stream_cannot_encode_is_shown(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    verb = types.SimpleNamespace(add_arguments=lambda parser: None, run=lambda args: say("café 日本"))
    monkeypatch.setitem(sys.modules, "aista.cli.list", verb)
    monkeypatch.setattr("sys.stdout", stream)
    main(["list"])
    assert stream.buffer.getvalue() == b"caf\xe9 \\u65e5\\u672c\n"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "0 s"),
        (89.4, "89 s"),
        (90, "2 min"),
        (5300, "88 min"),
        (5400, "1 h 30 min"),
        (7200, "2 h 0 min"),
        (172_800, "2 d 0 h"),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_a_hanging_text_is_wrapped_in_a_terminal_alone(monkeypatch):
    text = "  name   a summary of several words\n  other  short"
    assert hanging(text, 9) == text
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "30")
    lines = ["  name   a summary of several", "         words", "  other  short"]
    assert hanging(text, 9).split("\n") == lines
    monkeypatch.setenv("COLUMNS", "3")  # no word is broken, and there is room for one
    assert hanging("unbreakably-long/path/of/a/file", 2) == "unbreakably-long/path/of/a/file"
    assert "\x1b" not in hanging(HOSTILE, 0)
