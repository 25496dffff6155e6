"""The instruction around the speech (or the transcript) in the language model's input."""

from __future__ import annotations

from typing import NamedTuple

from aista.errors import shown

__all__ = ["PLACEHOLDER", "PromptIds", "parse_template"]

PLACEHOLDER = "{speech}"


class PromptIds(NamedTuple):
    """A prompt as token ids.

    A row of the language model reads ``[BOS] prefix (speech | transcript) suffix target EOS``; BOS is
    there only if the tokenizer has one, and is not part of ``prefix``.

    Attributes:
        prefix: Ids of the text before the speech, without BOS.
        suffix: Ids of the text after it, without EOS.
    """

    prefix: tuple[int, ...] = ()
    suffix: tuple[int, ...] = ()


def parse_template(template: str) -> tuple[str, str]:
    """Split a prompt template at its speech placeholder.

    Args:
        template: Text with exactly one ``{speech}``, e.g. ``"Translate to French: {speech} French:"``.

    Returns:
        The texts before and after the placeholder, as written (white space kept).

    Raises:
        ValueError: the placeholder is missing or occurs more than once.
    """
    count = template.count(PLACEHOLDER)
    if count != 1:
        fault = "has none" if count == 0 else f"has it {count} times"
        raise ValueError(
            f"a prompt template needs exactly one {PLACEHOLDER} where the speech goes, {shown(template)} {fault}; "
            f"write for example 'Translate: {PLACEHOLDER} Translation:'"
        )
    before, _, after = template.partition(PLACEHOLDER)
    return before, after
