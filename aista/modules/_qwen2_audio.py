"""The three parts of a Qwen2-Audio folder, each read alone; imports transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from transformers import AutoModel, AutoModelForCausalLM, Qwen2AudioConfig
from transformers.modeling_utils import no_init_weights

__all__ = ["Part", "build_part", "read_config", "read_tensors"]

Part = Literal["audio_tower", "multi_modal_projector", "language_model"]
INDEX = "model.safetensors.index.json"


def read_config(folder: Path, *, with_weights: bool = True) -> Qwen2AudioConfig:
    """The folder's config.json.

    Raises:
        ValueError: the folder holds no Qwen2-Audio model, or, if asked for, no weights in safetensors.
    """
    from aista.modules.encoders._folder import read_model_config

    read_model_config(folder, ("qwen2_audio",), with_weights=with_weights)
    config: Qwen2AudioConfig = Qwen2AudioConfig.from_pretrained(str(folder), local_files_only=True)
    return config


def build_part(folder: Path, part: Part, *, dtype: torch.dtype | None, with_weights: bool, attention: str = "") -> Any:
    """One part of the model, without touching the tensors of the others.

    Args:
        folder: Hugging Face folder of a Qwen2-Audio model.
        part: Which one.
        dtype: Type of its weights; None for the checkpoint's own.
        with_weights: Whether to read them; otherwise they are arbitrary.
        attention: Attention implementation; empty for the model's own choice.

    Raises:
        ValueError: as ``read_config``, or the weights cannot be read, or tensors are missing or of another shape.
    """
    config = read_config(folder, with_weights=with_weights)
    own_dtype = dtype or getattr(config, "dtype", None) or torch.float32
    choice = {"attn_implementation": attention} if attention else {}
    with no_init_weights():
        if part == "audio_tower":
            module: Any = AutoModel.from_config(config.audio_config, dtype=own_dtype, **choice)
        elif part == "language_model":
            module = AutoModelForCausalLM.from_config(config.text_config, dtype=own_dtype, **choice)
        else:
            widths = config.audio_config.d_model, config.text_config.hidden_size
            module = nn.ModuleDict({"linear": nn.Linear(*widths, dtype=own_dtype)})
    if with_weights:
        _fill(module, read_tensors(folder, part), folder, part)
    return module.eval()


def read_tensors(folder: Path, part: Part) -> dict[str, Tensor]:
    """The tensors of a part by their names inside of it.

    Raises:
        ValueError: a file of weights is damaged, or one that the index names is missing.
    """
    index = folder / INDEX
    files = sorted(folder.glob("*.safetensors"))
    if index.is_file():
        shards = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        files = [folder / name for name in sorted({file for name, file in shards.items() if name.startswith(part)})]
    found: dict[str, Tensor] = {}
    for file in files:
        if not file.is_file():
            raise ValueError(f"path: {file} is missing, but {INDEX} names it; download the model again")
        try:
            with safe_open(file, framework="pt") as tensors:
                for name in tensors.keys():  # noqa: SIM118 - it is no mapping
                    if name.startswith(f"{part}."):
                        found[name.removeprefix(f"{part}.")] = tensors.get_tensor(name)
        except (SafetensorError, OSError) as error:
            raise ValueError(f"path: {file} is damaged or no safetensors ({error}); download it again") from error
    return found


def _fill(module: nn.Module, tensors: dict[str, Tensor], folder: Path, part: Part) -> None:
    own = module.state_dict()
    tied = set(getattr(module, "_tied_weights_keys", None) or ())
    if not getattr(getattr(module, "config", None), "tie_word_embeddings", False):
        tied = set()
    missing = sorted(own.keys() - tensors.keys() - tied)
    shapes = [
        f"{name} {list(tensor.shape)}, not {list(own[name].shape)}"
        for name, tensor in tensors.items()
        if name in own and own[name].shape != tensor.shape
    ]
    if missing or shapes:
        what = f"lacks {len(missing)} tensors, e.g. {missing[0]}" if missing else f"has another shape: {shapes[0]}"
        raise ValueError(
            f"path: the {part} in {folder} {what}; the checkpoint is incomplete or belongs to another architecture"
        )
    module.load_state_dict(tensors, strict=False)
