"""``aista data tokenizer``: a SentencePiece model of manifests' texts, with the pieces that training needs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sentencepiece import SentencePieceProcessor

from aista.corpora.preparation import MAX_CHARACTERS, train_sentencepiece
from aista.data.manifest import Row, read_manifest
from aista.errors import DataError
from aista.files import require_writable
from aista.schema import Options, option

__all__ = ["TokenizerOptions", "train_tokenizer"]

_DEFAULT_SIZE = 4000


@dataclass(frozen=True, kw_only=True)
class TokenizerOptions(Options):
    """Options of ``aista data tokenizer``."""

    type: Literal["bpe", "unigram", "char"] = option("bpe", "bpe, unigram, or char: one piece for each character.")
    vocab_size: int = option(
        0,
        f"Number of pieces; 0: {_DEFAULT_SIZE}, or as many as the texts give if that is fewer.",
        minimum=0,
        maximum=1_000_000,
    )
    texts: Literal["both", "source", "target"] = option("both", "Transcripts and translations, or one of them.")
    character_coverage: float = option(
        1.0, "Share of the characters that get a piece; rarer ones become unk.", above=0, maximum=1
    )
    normalization: Literal["nmt_nfkc", "nmt_nfkc_cf", "nfkc", "nfkc_cf", "identity"] = option(
        "nmt_nfkc", "Normalisation rule of SentencePiece; nmt_nfkc_cf folds case, so outputs are lower case."
    )


def train_tokenizer(
    out: Path,
    manifests: Sequence[Path],
    options: TokenizerOptions,
    symbols: Sequence[str] | None = None,
    *,
    overwrite: bool = False,
) -> str:
    """Train a model on the texts of manifests.

    Args:
        out: The file to write.
        manifests: Manifests with the texts.
        options: Options of the model.
        symbols: Texts that are one piece each, for prompts; None: ``<fr>`` for each language of the
            translations, or of the transcripts where there are none.
        overwrite: Replace ``out`` if it exists.

    Returns:
        What was trained, and the config's lines for it.

    Raises:
        DataError: ``out`` exists, the manifests hold no text, or too few different pieces for ``vocab_size``.
        RunError: ``out`` cannot be written.
    """
    if out.exists() and not overwrite:
        raise DataError(f"{out}: exists already; name another file, or add --overwrite")
    require_writable(out)
    rows = [row for manifest in manifests for row in read_manifest(manifest).rows]
    texts = list(_texts(rows, options.texts))
    if not texts:
        names = ", ".join(map(str, manifests))
        raise DataError(f"{names}: must hold texts to train on (--texts {options.texts}), got none in {len(rows)} rows")
    if symbols is None:
        symbols = [f"<{language}>" for language in _written_languages(rows)] if options.texts != "source" else []
    train_sentencepiece(
        out,
        texts,
        vocab_size=options.vocab_size or (MAX_CHARACTERS if options.type == "char" else _DEFAULT_SIZE),
        symbols=symbols,
        model_type=options.type,
        is_exact=options.vocab_size > 0,
        character_coverage=options.character_coverage,
        normalization=options.normalization,
    )
    model = SentencePieceProcessor(model_file=str(out))
    ids = ", ".join(f"{name} {getattr(model, f'{name}_id')()}" for name in ("unk", "bos", "eos", "pad"))
    ids += "".join(f", {symbol} {model.piece_to_id(symbol)}" for symbol in symbols)
    return (
        f"{out}: {model.get_piece_size()} pieces ({options.type}) of {len(texts)} texts; {ids}\n"
        f"tokenizer: {{name: sentencepiece, config: {{path: {out}}}}}"
    )


def _written_languages(rows: Sequence[Row]) -> list[str]:
    """Languages of the translations, or of the transcripts where there are no translations."""
    targets = {row.tgt_lang for row in rows if row.tgt_lang}
    return sorted(targets or {row.src_lang for row in rows if row.src_lang and not row.tgt_text})


def _texts(rows: Sequence[Row], which: str) -> Iterator[str]:
    for row in rows:
        if row.src_text and which != "target":
            yield row.src_text
        if row.tgt_text and which != "source":
            yield row.tgt_text
