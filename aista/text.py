"""Reads lines of text files; finds and removes invisible characters."""

from __future__ import annotations

import unicodedata
from pathlib import Path

from aista.errors import DataError

__all__ = ["drop_invisible", "is_blank", "read_lines"]

_BLANK = "\u034f\u115f\u1160\u2800\u3164\uffa0"  # letters, marks and symbols of Unicode that show nothing
_JOINERS = "\u200c\u200d"


def read_lines(path: Path, missing: str) -> list[str]:
    """The lines of a UTF-8 file, without their ends (LF or CRLF) and a byte order mark.

    Args:
        path: The file.
        missing: Message and advice for a file that does not exist.

    Raises:
        DataError: the file cannot be read, has another encoding, or its lines end with CR alone.
    """
    try:
        if path.exists() and not path.is_file():  # a pipe waits for its writer, a device never ends
            raise DataError(f"{path}: must be a file, got a folder, a pipe or a device; name a text file")
        content = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: {missing}") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if content[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in content[:2]:
        raise DataError(f"{path}: must be UTF-8, got UTF-16; convert it, for example with iconv -f UTF-16 -t UTF-8")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}:{line}: must be UTF-8, got byte {content[error.start]:#04x}; convert it, for example with "
            "iconv -f LATIN1 -t UTF-8"
        ) from error
    if "\r" in text and "\n" not in text:
        raise DataError(
            f"{path}:1: lines must end with LF or CRLF, got CR; convert them, for example by tr '\\r' '\\n'"
        )
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    return lines[:-1] if lines[-1] == "" else lines


def is_blank(text: str) -> bool:
    """Whether a text shows nothing: only white space, control and format characters, variation selectors."""
    return all(
        unicodedata.category(char) in ("Zs", "Zl", "Zp", "Cc", "Cf", "Cs", "Cn") or char in _BLANK or _selects(char)
        for char in text
    )


def drop_invisible(text: str) -> str:
    """Remove format characters (Unicode Cf) from a text: soft hyphens, direction marks, zero-width spaces.

    Joiners (U+200C, U+200D) stay between letters of the scripts that they shape, from Arabic to Mongolian: there they
    are part of the spelling.
    """
    return "".join(
        char
        for place, char in enumerate(text)
        if unicodedata.category(char) != "Cf" or (char in _JOINERS and _shapes(text[max(0, place - 1) : place + 2]))
    )


def _shapes(around: str) -> bool:
    return len(around) == 3 and all("\u0600" <= char <= "\u18af" for char in (around[0], around[2]))


def _selects(char: str) -> bool:
    return "\ufe00" <= char <= "\ufe0f" or "\U000e0100" <= char <= "\U000e01ef"
