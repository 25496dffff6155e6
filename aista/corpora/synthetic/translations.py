"""The languages that the embedded corpus is translated into: one module each, found here by language code."""

from __future__ import annotations

from collections.abc import Callable

from aista.corpora.synthetic.french import french
from aista.corpora.synthetic.german import german
from aista.corpora.synthetic.syntax import Sentence

__all__ = ["TRANSLATIONS"]

TRANSLATIONS: dict[str, Callable[[Sentence], str]] = {"fr": french, "de": german}
