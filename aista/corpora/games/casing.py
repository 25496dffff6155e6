"""Sentence case for games that write in capitals."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["sentence_case", "shouts"]

_DIGRAPHS = {"ae": "Ä", "oe": "Ö", "ue": "Ü"}
_DIGRAPH = re.compile("|".join(_DIGRAPHS))
# Neither an ellipsis nor an initial ends a sentence.
_START = re.compile(r"(\A\W*|(?:[!?]|(?<!\.\w)(?<!\.)\.)[\"')»]*\s+[\"'(«¿¡]*)(\w)")
_ENGLISH_I = re.compile(r"\bi\b(?!\.\w)")
_INITIALS = re.compile(r"(?<![\w.])(?:[^\W\d_]\.){2,}")


def shouts(text: str) -> bool:
    """Whether at least half of the letters are capitals."""
    letters = [character for character in text if character.isalpha()]
    return sum(map(str.isupper, letters)) * 2 >= len(letters)


def sentence_case(text: str, language: str, names: Iterable[str] = ()) -> str:
    """Lower-case a text in capitals, then restore capitals by rules.

    Capitals get: the first letter, the first letter after ``.``, ``!`` or ``?`` and a space, initials (``B.J.``),
    the English *I*, and ``names``. German nouns and names that are not listed stay in lower case. In German, the
    lower-case *ae*, *oe*, *ue* of a shouting text are its umlauts (``FueR``). Other texts are returned as they are.

    Args:
        text: A line of a game, in one line.
        language: Its language.
        names: Names as they are written, of one or more words.
    """
    if not shouts(text):
        return text
    if language == "de":
        text = _DIGRAPH.sub(lambda match: _DIGRAPHS[match[0]], text)
    text = _INITIALS.sub(lambda match: match[0].upper(), text.lower())
    text = _START.sub(lambda match: match[1] + match[2].upper(), text)
    if language == "en":
        text = _ENGLISH_I.sub("I", text)
    for name in names:
        text = re.sub(rf"\b{re.escape(name)}\b", name, text, flags=re.IGNORECASE)
    return text
