"""Character error rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aista.registry import register
from aista.schema import option
from aista.scoring.edit_rate import EditRate, EditRateConfig, normalize
from aista.scoring.language import UNSPACED, language_of

__all__ = ["Cer", "CerConfig"]


@dataclass(frozen=True, kw_only=True)
class CerConfig(EditRateConfig):
    """Options of ``cer``."""

    count_spaces: bool | None = option(
        None, "Count spaces as characters; null: yes, except for languages written without them (zh, ja, th, ...)."
    )


@register("metric", "cer", config=CerConfig)
class Cer(EditRate):
    """Corpus character error rate in percent: edits of Unicode characters over reference characters.

    Choose it for transcripts in Chinese, Japanese or Thai, and for languages without a settled spelling.
    """

    name = "cer"
    unit = "char"

    def __init__(self, config: CerConfig, *, target_language: str) -> None:
        super().__init__(config)
        spaced = language_of(target_language) not in UNSPACED
        self.count_spaces = spaced if config.count_spaces is None else config.count_spaces

    @property
    def signature(self) -> str:
        """The edit rate's signature with the rule for spaces."""
        spaces = "yes" if self.count_spaces else "no"
        return super().signature.replace("|norm:", f"|spaces:{spaces}|norm:")

    def units(self, text: str) -> Sequence[str]:
        """Characters, without white space where it is not counted."""
        text = normalize(text, self.normalizer)
        return text if self.count_spaces else "".join(text.split())
