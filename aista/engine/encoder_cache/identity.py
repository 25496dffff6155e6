"""Identity of a cache: everything but the recording that determines encoder states, as plain data."""

from __future__ import annotations

import hashlib
import inspect
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import nn

from aista import __version__, registry
from aista.files import hash_file
from aista.hub import settings_files
from aista.plain import to_plain
from aista.schema import Component
from aista.tasks.experiment import Experiment

__all__ = ["encoder_identity"]

_PACKAGES = ("torch", "torchaudio", "transformers", "fairseq2")


def encoder_identity(experiment: Experiment, encoder: nn.Module) -> dict[str, Any]:
    """Weights and options of the encoder, the feature, and versions of the libraries that compute both.

    Weights count by their content. A folder that options name counts by its JSON files, which hold what weights do not
    show (attention heads, activations). A component from elsewhere counts by its source too: it has no version here.
    """
    return {
        "versions": {"aista": __version__, **{name: version(name) for name in _PACKAGES}},
        "encoder": _describe("encoder", experiment.task_config.encoder),
        "weights": _hash_weights(encoder),
        "feature": _describe("feature", experiment.sections.data.feature),
    }


def _describe(kind: str, spec: Component) -> dict[str, Any]:
    options = vars(spec.config) if spec.config is not None else {}
    described = {
        name: _hash_settings(value) if isinstance(value, Path) else to_plain(value) for name, value in options.items()
    }
    factory = registry.get(kind, spec.name).factory
    source = {} if factory.__module__.startswith("aista.") else {"source": _hash_source(factory)}
    return {"name": spec.name, "config": described, **source}


def _hash_settings(path: Path) -> str:
    """Hash of a folder's JSON files except the index of weights, which are hashed as loaded."""
    files = [] if path.is_file() else settings_files(path)
    files = [file for file in files if file.suffix == ".json" and not file.name.endswith(".index.json")]
    return hashlib.sha256(json.dumps([[file.name, hash_file(file)] for file in files]).encode()).hexdigest()


def _hash_source(factory: Any) -> str:
    file = inspect.getsourcefile(inspect.unwrap(factory))
    assert file is not None
    return hash_file(Path(file))


def _hash_weights(module: nn.Module) -> str:
    """Hash over names, types, shapes and bytes of parameters and buffers, wherever they are."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
