"""Packages that parts of aista need beyond a plain ``pip install aista``, and the message where one is missing."""

from __future__ import annotations

import importlib
from typing import Any

from aista.errors import AistaError

__all__ = ["EXTRAS", "MODULES", "explain", "needs", "require"]

EXTRAS = {
    "train": (
        *("accelerate", "espeakng_loader", "fairseq2", "fairseq2n", "huggingface_hub", "matplotlib", "peft", "pyarrow"),
        *("requests", "safetensors", "silero_vad", "soundfile", "tensorboard", "tokenizers", "torchaudio", "torcheval"),
        *("transformers", "wandb"),
    ),
    "import": ("datasets", "lhotse"),
    "media": ("av",),
    "mlflow": ("mlflow",),
    "slurm": ("submitit",),
}
"""Extra of aista -> the modules that it brings and the package imports."""
MODULES = {module: extra for extra, modules in EXTRAS.items() for module in modules}
"""Module -> the extra that brings it."""


def needs(module: str) -> str:
    """``needs fairseq2, which is not installed; pip install 'aista[train]'``, of a module in ``EXTRAS``."""
    return f"needs {module.replace('_', '-')}, which is not installed; pip install 'aista[{MODULES[module]}]'"


def explain(error: ImportError) -> str:
    """The message for a failed import: for a missing module of an extra that of ``needs``, else the reason."""
    is_missing = isinstance(error, ModuleNotFoundError) and error.name in MODULES
    return needs(str(error.name)) if is_missing else f"cannot be imported: {error}"


def require(module: str, who: str, error: type[AistaError] = AistaError) -> Any:
    """Import a module that ``who`` needs; raises ``error``, with the command that installs it, where it is missing."""
    try:
        return importlib.import_module(module)
    except ImportError as fault:
        raise error(f"{who} {explain(fault)}") from None
