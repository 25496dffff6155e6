"""Off-target rate: fraction of outputs in another language than the target language."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import Protocol

import langcodes
import numpy as np

from aista.registry import nearest, register
from aista.schema import Options, option
from aista.scoring.base import Metric, Statistics
from aista.scoring.language import language_of

__all__ = ["OffTarget", "OffTargetConfig"]

_LABELS = {"nb": "no", "fil": "tl"}
"""Codes for which the identifier uses a non-standard name."""


@dataclass(frozen=True, kw_only=True)
class OffTargetConfig(Options):
    """Options of ``off_target``."""

    languages: tuple[str, ...] = option(
        (),
        "Candidate languages of outputs, beside the target language. Empty: all that the identifier knows. Fewer "
        "languages mean fewer errors on short texts, but outputs in other languages are misclassified.",
    )


@register("metric", "off_target", config=OffTargetConfig)
class OffTarget(Metric):
    """Off-target rate: percentage of outputs whose identified language is not the target language (Zhang et al., 2020).

    py3langid identifies the language from byte n-grams. A text without letters counts as off target. Identification
    makes errors on short texts: the rate of the references, reported beside it, is that of a perfect system. Choose
    it beside BLEU for models of several target languages; it does not measure the translation.
    """

    name = "off_target"
    higher_is_better = False
    scores_references = True

    def __init__(self, config: OffTargetConfig, *, target_language: str) -> None:
        if not target_language.strip():
            raise ValueError(
                "the target language is unknown; name it: data.target_language in a config, --target-language of "
                "`aista score`, or the column tgt_lang of hypotheses"
            )
        self._target = _label(target_language)
        others = {_label(code) for code in config.languages}
        self._candidates = tuple(sorted({self._target, *others})) if others else ()
        if len(self._candidates) == 1:
            raise ValueError(
                f"languages: must name one beside {target_language!r}, got only it; add some, or leave it out"
            )

    @property
    def signature(self) -> str:
        """Target language, candidates, and the identifier's version."""
        among = ",".join(self._candidates) or "all"
        return f"lang:{self._target}|among:{among}|version:py3langid-{version('py3langid')}"

    def statistics(self, hypotheses: Sequence[str], references: Sequence[str]) -> Statistics:
        identifier = _identifier(self._candidates)
        off = [not any(map(str.isalpha, text)) or identifier.classify(text)[0] != self._target for text in hypotheses]
        return np.stack([np.array(off, dtype=np.float64), np.ones(len(off))], axis=1)

    def from_totals(self, totals: Statistics) -> float:
        return float(100 * totals[0] / totals[1])


class _Identifier(Protocol):
    labels: list[str]

    def classify(self, text: str) -> tuple[str, float]: ...

    def set_languages(self, langs: Sequence[str]) -> None: ...


@cache
def _identifier(languages: tuple[str, ...] = ()) -> _Identifier:
    """An identifier limited to these languages, or unlimited; reading its model takes half a second."""
    from py3langid import langid

    identifier: _Identifier = langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE)
    if languages:
        identifier.set_languages(languages)
    return identifier


def _label(code: str) -> str:
    """The identifier's name of a language. Raises ValueError for an unknown one."""
    language, known = language_of(code), _identifier().labels
    standard = langcodes.standardize_tag(language)
    for name in (language, standard, langcodes.standardize_tag(language, macro=True), _LABELS.get(standard, "")):
        if name in known:
            return name
    raise ValueError(
        f"py3langid cannot identify {code!r}{nearest(language, known)}, so nothing can be said about outputs in it; it "
        f"knows {' '.join(sorted(known))}; leave off_target out"
    )
