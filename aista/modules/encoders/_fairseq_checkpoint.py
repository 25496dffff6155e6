"""wav2vec 2.0 weights from checkpoints of fairseq and fairseq2, without running code of theirs."""

from __future__ import annotations

import argparse
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

__all__ = ["load_checkpoint"]

_NUMBER = r"([0-9]+)"
_FAIRSEQ2 = {r"encoder_frontend\.": "frontend.", r"encoder\.": "stack."}
_FAIRSEQ = {
    rf"feature_extractor\.conv_layers\.{_NUMBER}\.0\.": r"frontend.feature_extractor.layers.\1.conv.",
    rf"feature_extractor\.conv_layers\.{_NUMBER}\.2\.1\.": r"frontend.feature_extractor.layers.\1.layer_norm.",
    rf"feature_extractor\.conv_layers\.{_NUMBER}\.2\.": r"frontend.feature_extractor.layers.\1.group_norm.",
    r"layer_norm\.": "frontend.post_extract_layer_norm.",
    r"post_extract_proj\.": "frontend.model_dim_proj.",
    r"encoder\.pos_conv\.0\.": "frontend.pos_encoder.conv.",
    rf"encoder\.layers\.{_NUMBER}\.self_attn\.out_proj\.": r"stack.layers.\1.self_attn.output_proj.",
    rf"encoder\.layers\.{_NUMBER}\.fc1\.": r"stack.layers.\1.ffn.inner_proj.",
    rf"encoder\.layers\.{_NUMBER}\.fc2\.": r"stack.layers.\1.ffn.output_proj.",
    rf"encoder\.layers\.{_NUMBER}\.final_layer_norm\.": r"stack.layers.\1.ffn_layer_norm.",
    r"encoder\.": "stack.",
}
_PREFIXES = ("module.", "w2v_encoder.w2v_model.")  # of data parallelism, and of fairseq's fine-tuned models


def load_checkpoint(encoder: nn.Module, file: Path) -> None:
    """Fill a ``Wav2Vec2Encoder``; heads, quantisers and mask vectors of the checkpoint are left out.

    Raises:
        ValueError: the file cannot be read safely, or does not hold every tensor of the encoder in its shape.
    """
    wanted = {name: tensor for name, tensor in encoder.state_dict().items() if not name.startswith("mix.")}
    found = _rename(_read(file), is_post_norm="frontend.layer_norm.weight" in wanted)
    missing = sorted(set(wanted) - set(found))
    shapes = [
        f"{name} {list(found[name].shape)}, not {list(tensor.shape)}"
        for name, tensor in wanted.items()
        if name in found and found[name].shape != tensor.shape
    ]
    surplus = sorted(name for name in found if name not in wanted and name.startswith(("frontend.", "stack.")))
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
            f"checkpoint: {file} does not fit the options: {'; '.join(faults)}; set model_dim, num_layers, ffn_dim, "
            "conv_norm, conv_bias, norm_order and the rest to those it was trained with"
        )
    encoder.load_state_dict({name: found[name] for name in wanted}, strict=False)


def _read(file: Path) -> Mapping[str, Any]:
    if not file.is_file():
        raise ValueError(f"checkpoint: no such file: {str(file)!r}")
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        with torch.serialization.safe_globals([argparse.Namespace]):  # fairseq's options; plain attributes
            state = torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, SafetensorError, RuntimeError, EOFError) as error:
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


def _rename(weights: Mapping[str, Any], *, is_post_norm: bool) -> dict[str, Tensor]:
    """The tensors under the encoder's own names; others keep theirs."""
    for prefix in _PREFIXES:
        if any(name.startswith(prefix) for name in weights):
            weights = {name.removeprefix(prefix): tensor for name, tensor in weights.items()}
    is_fairseq2 = any(name.startswith("encoder_frontend.") for name in weights)
    patterns = _FAIRSEQ2 if is_fairseq2 else _FAIRSEQ
    renamed = {_rename_one(name, patterns): tensor for name, tensor in weights.items() if isinstance(tensor, Tensor)}
    if not is_fairseq2 and is_post_norm:  # fairseq keeps the norm in front of the layers in its encoder
        inner = {name: name.replace("stack.", "frontend.") for name in renamed if name.startswith("stack.layer_norm.")}
        renamed = {inner.get(name, name): tensor for name, tensor in renamed.items()}
    return renamed


def _rename_one(name: str, patterns: Mapping[str, str]) -> str:
    for pattern, replacement in patterns.items():
        if re.match(pattern, name):
            return re.sub(f"^{pattern}", replacement, name)
    return name
