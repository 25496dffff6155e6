"""Language models in GGUF -> a Hugging Face folder."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from aista.errors import DataError
from tools.pretrained.gguf_tokenizer import build_tokenizer

__all__ = ["convert_gguf"]

_ARCHITECTURES = ("llama", "gemma3")  # those whose conversion was checked


def convert_gguf(files: Mapping[str, Path], folder: Path, dtype: torch.dtype) -> None:
    """Write a Hugging Face folder of a causal language model, with its tokenizer and chat template.

    transformers takes the weights out of GGUF's blocks; the tokenizer is built here (see ``build_tokenizer``).

    Args:
        files: The ``.gguf``, or its parts in order.
        folder: An empty folder.
        dtype: Type of the written weights.

    Raises:
        DataError: the gguf package is missing, or the file is damaged or holds another kind of model.
    """
    from transformers import AutoModelForCausalLM
    from transformers.utils import is_gguf_available

    if not is_gguf_available():
        raise DataError("reading GGUF needs the gguf package; pip install gguf")
    with _joined(list(files.values())) as path:
        metadata = _read_metadata(path)
        architecture = metadata.get("general.architecture")
        if architecture not in _ARCHITECTURES:
            known = " and ".join(_ARCHITECTURES)
            raise DataError(f"{path.name}: holds a model of the architecture {architecture!r}; {known} are converted")
        try:
            tokenizer = build_tokenizer(metadata)
        except (DataError, LookupError) as error:
            raise DataError(f"{path.name}: no tokenizer can be built from it ({error})") from error
        try:
            model = AutoModelForCausalLM.from_pretrained(
                path.parent, gguf_file=path.name, dtype=torch.float32, local_files_only=True, trust_remote_code=False
            )
        except Exception as error:  # its readers raise whatever they meet
            raise DataError(f"{path.name}: its weights cannot be read ({error}); get the file again") from error
    special = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("bos", "eos", "pad")}
    model.config.update(special)
    model.generation_config.update(**special)
    model.to(dtype).save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)


@contextmanager
def _joined(parts: list[Path]) -> Iterator[Path]:
    """The path of a file whose contents may lie in several."""
    if len(parts) == 1:
        yield parts[0]
        return
    with tempfile.TemporaryDirectory(prefix="aista-models-") as scratch:
        path = Path(scratch) / parts[0].stem
        with path.open("wb") as whole:
            for part in parts:
                with part.open("rb") as stream:
                    shutil.copyfileobj(stream, whole)
        yield path


def _read_metadata(path: Path) -> dict[str, Any]:
    """The metadata of the file: everything except the weights."""
    from gguf import GGUFReader

    try:
        return {name: field.contents() for name, field in GGUFReader(path).fields.items()}
    except Exception as error:  # the reader checks little and fails in any way
        raise DataError(f"{path.name}: damaged, or no GGUF file ({error}); get the file again") from error
