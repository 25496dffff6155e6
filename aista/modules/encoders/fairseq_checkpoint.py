"""Loads encoder weights from checkpoints of fairseq and fairseq2 without running code in them."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

__all__ = ["Renaming", "load_checkpoint"]

_PREFIXES = ("module.", "w2v_encoder.w2v_model.", "w2v2_model.")  # of data parallelism, of models around the encoder

Renaming = Mapping[str, str]
"""Patterns at the start of a name and what stands there in aista; the first that matches counts."""

FAIRSEQ2: Renaming = {r"encoder_frontend\.": "frontend.", r"encoder\.": "stack."}
"""Names of fairseq2's wav2vec 2.0 and of all that is built from its parts."""


def load_checkpoint(encoder: nn.Module, file: Path, *, fairseq: Renaming, options: str) -> None:
    """Fill an encoder that has a ``frontend`` and a ``stack``; heads, quantisers and masks are left out.

    Args:
        encoder: The encoder; its options describe the checkpoint.
        file: ``.pt`` or ``.safetensors``.
        fairseq: Renaming of fairseq's tensors to the encoder's.
        options: The options that describe a checkpoint, for the message of one that does not fit.

    Raises:
        ValueError: the file cannot be read safely, or does not hold every tensor of the encoder in its shape.
    """
    wanted = {name: tensor for name, tensor in encoder.state_dict().items() if not name.startswith("mix.")}
    given = _rename(_read(file), fairseq)
    missing = sorted(set(wanted) - set(given))
    shapes = [
        f"{name} {list(given[name].shape)}, not {list(tensor.shape)}"
        for name, tensor in wanted.items()
        if name in given and given[name].shape != tensor.shape
    ]
    surplus = sorted(name for name in given if name not in wanted and name.startswith(("frontend.", "stack.")))
    faults = [
        f"{len(names)} {what}, e.g. {names[0]}"
        for names, what in (
            (missing, "tensors are missing"),
            (shapes, "have another shape"),
            (surplus, "have no place in the encoder"),
        )
        if names
    ]
    if faults:
        raise ValueError(
            f"checkpoint: {file} does not fit the options: {'; '.join(faults)}; set {options} to those it was "
            "trained with"
        )
    encoder.load_state_dict({name: given[name] for name in wanted}, strict=False)


def _read(file: Path) -> Mapping[str, Any]:
    if not file.is_file():
        raise ValueError(f"checkpoint: no such file: {str(file)!r}")
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        with torch.serialization.safe_globals([argparse.Namespace]):  # fairseq's options; plain attributes
            state = torch.load(file, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # torch's reader raises whatever damage makes of a pickle
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(
            f"checkpoint: {file} is damaged or holds Python objects beside tensors, and loading these could run code "
            f"({reason}); where you trust it, load it once with weights_only=False and save "
            'checkpoint["model"] with safetensors'
        ) from error
    weights = state.get("model", state) if isinstance(state, Mapping) else None
    if not isinstance(weights, Mapping):
        raise ValueError(f"checkpoint: {file} must hold a mapping of names to tensors, got {type(state).__name__}")
    return weights


def _rename(weights: Mapping[str, Any], fairseq: Renaming) -> dict[str, Tensor]:
    """The tensors under the encoder's own names; others keep theirs."""
    for prefix in _PREFIXES:
        if any(name.startswith(prefix) for name in weights):
            weights = {name.removeprefix(prefix): tensor for name, tensor in weights.items()}
    is_fairseq2 = any(name.startswith("encoder_frontend.") for name in weights)
    renaming = FAIRSEQ2 if is_fairseq2 else fairseq
    return {_rename_one(name, renaming): tensor for name, tensor in weights.items() if isinstance(tensor, Tensor)}


def _rename_one(name: str, renaming: Renaming) -> str:
    for pattern, replacement in renaming.items():
        if re.match(pattern, name):
            return re.sub(f"^{pattern}", replacement, name)
    return name
