"""The three parts of a Qwen2-Audio folder, each read alone; imports transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn
from transformers import AutoModel, AutoModelForCausalLM, Qwen2AudioConfig
from transformers.modeling_utils import no_init_weights

from aista.modules._folder import read_model_config
from aista.modules._shards import fill_from_folder

__all__ = ["Part", "build_part", "read_config"]

Part = Literal["audio_tower", "multi_modal_projector", "language_model"]


def read_config(folder: Path, *, with_weights: bool = True) -> Qwen2AudioConfig:
    """The folder's config.json.

    Raises:
        ValueError: the folder holds no Qwen2-Audio model, or, if asked for, no weights in safetensors.
    """
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
    if part == "language_model":
        module.tie_weights()  # left out with the initialisation
    if with_weights:
        fill_from_folder(module, folder, lambda name: f"{part}.{name}")
    return module.eval()
