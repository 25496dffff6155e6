"""Loading a speech model from a local folder, whole or not at all; imports transformers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoConfig
from transformers.modeling_utils import no_init_weights
from transformers.utils import logging

__all__ = ["build_unloaded", "load_pretrained"]


def load_pretrained(model_class: Any, folder: Path, *, part: str = "", **changes: Any) -> Any:
    """A float32 model from safetensors; nothing is downloaded, no code of the folder runs.

    Args:
        model_class: Class of transformers with ``from_pretrained``.
        folder: Checked by ``read_model_config``.
        part: Prefix of the tensors that must not be missing.
        changes: Values of config.json to override.

    Raises:
        ValueError: the weights cannot be read, or tensors are missing or of another shape.
    """
    try:
        with _without_remarks():
            model, report = model_class.from_pretrained(
                str(folder),
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                dtype=torch.float32,
                output_loading_info=True,
                **changes,
            )
    except (OSError, RuntimeError, ValueError, KeyError, SafetensorError) as error:
        raise ValueError(f"path: the model in {folder} cannot be loaded: {error}") from error
    missing = sorted(key for key in report["missing_keys"] if key.startswith(part))
    if missing:
        what = f"of the {part.rstrip('.')}" if part else "of the model"
        raise ValueError(
            f"path: the weights in {folder} lack {len(missing)} tensors {what}, e.g. {missing[0]}; they are "
            "incomplete or belong to another architecture"
        )
    return model


def build_unloaded(model_class: Any, folder: Path, *, attn_implementation: str | None = None, **changes: Any) -> Any:
    """The float32 model that a folder's config.json describes, with arbitrary weights.

    Args:
        model_class: As for ``load_pretrained``, or ``AutoModel``.
        folder: Checked by ``read_model_config``.
        attn_implementation: None is the model's own choice.
        changes: Values of config.json to override.

    Raises:
        ValueError: the model cannot be built.
    """
    attention = {} if attn_implementation is None else {"attn_implementation": attn_implementation}
    try:
        settings = AutoConfig.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False, **changes)
        build = getattr(model_class, "from_config", None) or model_class._from_config
        with _without_remarks(), no_init_weights():
            return build(settings, dtype=torch.float32, **attention).eval()
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise ValueError(f"path: the model in {folder} cannot be built: {error}") from error


@contextmanager
def _without_remarks() -> Iterator[None]:
    """Without transformers' warnings: heads are meant to be left out, and what is missing is an error here."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
