"""The packages that parts of aista need beyond a plain ``pip install aista``, and what is said where one is missing."""

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
    """What ``needs`` says of a missing module of an extra; of any other failed import that it failed, and why."""
    is_missing = isinstance(error, ModuleNotFoundError) and error.name in MODULES
    return needs(str(error.name)) if is_missing else f"cannot be imported: {error}"


def require(module: str, who: str, error: type[AistaError] = AistaError) -> Any:
    """The module, for ``who``; raises ``error`` where it is missing, with what brings it."""
    try:
        return importlib.import_module(module)
    except ImportError as fault:
        raise error(f"{who} {explain(fault)}") from None
