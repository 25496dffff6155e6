"""Downloads the SentencePiece models of sacrebleu's tokenisers to the place where sacrebleu expects them.

sacrebleu downloads them itself, but leaves an empty or incomplete file behind if that fails, and then always fails.
Here a file is checked before it is moved into place.
"""

from __future__ import annotations

import logging
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from urllib.request import urlopen

from sacrebleu import utils
from sacrebleu.tokenizers.tokenizer_spm import SPM_MODELS

from aista.files import replacing

__all__ = ["SPM_TOKENIZERS", "require_model"]

log = logging.getLogger("aista.scoring")

SPM_TOKENIZERS = ("flores101", "flores200")
"""Tokenisers with a model; sacrebleu's ``spm`` is ``flores101`` under an older name."""
_PATIENCE = 30  # seconds without an answer


def require_model(tokenize: str) -> Path:
    """Return the file of a tokeniser's model, downloading it if it is missing.

    Raises:
        ValueError: it cannot be downloaded or written, or is not a SentencePiece model; says where to put it by hand.
    """
    url = SPM_MODELS[tokenize]["url"]
    path = Path(utils.SACREBLEU_DIR, "models", PurePosixPath(url).name)
    by_hand = f"download {url} where there is a network, and put it there under this name"
    if path.exists():
        _check(path.read_bytes(), f"tokenize: {path}, the model of {tokenize!r},", f"remove it, or {by_hand}")
        return path
    log.info("the model of the tokeniser %s is downloaded from %s to %s", tokenize, url, path)
    try:
        with urlopen(url, timeout=_PATIENCE) as answer:
            data = answer.read()
        _check(data, f"tokenize: what {url} answered, to be the model of {tokenize!r},", by_hand + f": {path}")
        with replacing(path) as temporary:
            temporary.write_bytes(data)
    except (OSError, HTTPException) as error:
        raise ValueError(
            f"tokenize: {tokenize!r} needs the model {path}, which is missing and cannot be downloaded "
            f"({str(error) or type(error).__name__}); {by_hand}, or name another folder than ~/.sacrebleu by the "
            "environment variable SACREBLEU, or set tokenize to char"
        ) from error
    return path


def _check(data: bytes, what: str, remedy: str) -> None:
    from sentencepiece import SentencePieceProcessor

    try:
        SentencePieceProcessor(model_proto=data)
    except RuntimeError as error:
        raise ValueError(f"{what} is not a SentencePiece model ({len(data)} bytes); {remedy}") from error
