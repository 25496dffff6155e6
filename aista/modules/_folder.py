"""Reading the JSON files of a local Hugging Face folder; the standard library only."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

__all__ = ["read_json", "read_model_config"]


def read_model_config(folder: Path, model_types: Collection[str], *, with_weights: bool = True) -> dict[str, Any]:
    """config.json of a folder that holds a model of one of ``model_types``; raises ValueError otherwise.

    Without ``with_weights`` the folder needs to hold no weights.
    """
    if not (folder / "config.json").is_file():
        raise ValueError(f"path: {folder} is not the folder of a Hugging Face model (no config.json in it)")
    settings = read_json(folder / "config.json")
    found = settings.get("model_type")
    if found not in model_types:
        wanted = " or ".join(repr(name) for name in model_types)
        raise ValueError(f"path: {folder} holds a model of type {found!r}, not {wanted}")
    if with_weights and not any(folder.glob("*.safetensors")):
        pickles = sorted(path.name for pattern in ("*.bin", "*.pt") for path in folder.glob(pattern))
        held = f"only {', '.join(pickles)}, which can run code when loaded" if pickles else "no weights"
        raise ValueError(
            f"path: {folder} holds {held}; weights are read from *.safetensors alone: get model.safetensors, or load "
            "a file you trust with transformers once and save_pretrained(..., safe_serialization=True)"
        )
    return settings


def read_json(file: Path) -> dict[str, Any]:
    """The object in a JSON file; raises ValueError naming the file where there is none."""
    try:
        settings = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"path: {file} is not valid JSON: {error}") from error
    if not isinstance(settings, dict):
        raise ValueError(f"path: {file} must hold a JSON object, got {type(settings).__name__}")
    return settings
