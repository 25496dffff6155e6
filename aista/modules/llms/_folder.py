"""Loads a Hugging Face language model from a local folder, or says what is wrong with the folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.modeling_utils import no_init_weights
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING

if TYPE_CHECKING:
    from aista.modules.llms.hf_causal_lm import HFCausalLMConfig

__all__ = ["load_causal_lm", "outline_causal_lm", "skeleton_causal_lm"]


def load_causal_lm(config: HFCausalLMConfig, vocab_size: int) -> nn.Module:
    """Load the model of a local folder; raises ValueError with the remedy where that is not possible."""
    folder = config.path
    hf_config = _read_config(folder, vocab_size)
    try:
        model, report = AutoModelForCausalLM.from_pretrained(
            folder,
            config=hf_config,
            dtype=config.dtype,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
            **_attention(config),
        )
    except (OSError, ImportError, RuntimeError) as error:
        raise ValueError(
            f"path {str(folder)!r}: the weights cannot be loaded ({error}); only safetensors are read"
        ) from error
    absent = [*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])]
    if absent:
        raise ValueError(
            f"path {str(folder)!r}: the checkpoint lacks {len(absent)} of the model's weights, e.g. {absent[0]!r}; "
            f"it is incomplete or belongs to another architecture"
        )
    loaded: nn.Module = model
    return loaded


def outline_causal_lm(config: HFCausalLMConfig, vocab_size: int) -> nn.Module:
    """The model of a local folder on the meta device, without reading its weights; raises as ``load_causal_lm``."""
    hf_config = _read_config(config.path, vocab_size)
    try:
        with torch.device("meta"):
            model: nn.Module = AutoModelForCausalLM.from_config(
                hf_config, dtype=torch.float32, trust_remote_code=False, **_attention(config)
            )
    except (ImportError, RuntimeError) as error:
        raise ValueError(f"path {str(config.path)!r}: the model cannot be built ({error})") from error
    return model


def skeleton_causal_lm(config: HFCausalLMConfig, vocab_size: int) -> nn.Module:
    """The model that a folder's config.json describes, with arbitrary weights; raises as ``load_causal_lm``."""
    hf_config = _read_config(config.path, vocab_size, with_weights=False)
    saved = getattr(hf_config, "dtype", None) or torch.float32
    dtype = saved if config.dtype == "auto" else getattr(torch, config.dtype)
    try:
        with no_init_weights():
            model: Any = AutoModelForCausalLM.from_config(
                hf_config, dtype=dtype, trust_remote_code=False, **_attention(config)
            )
    except (ImportError, RuntimeError) as error:
        raise ValueError(f"path {str(config.path)!r}: the model cannot be built ({error})") from error
    model.tie_weights()  # left out with the initialisation
    built: nn.Module = model.eval()
    return built


def _attention(config: HFCausalLMConfig) -> dict[str, Any]:
    return {} if config.attention == "auto" else {"attn_implementation": config.attention}


def _read_config(folder: Path, vocab_size: int, *, with_weights: bool = True) -> Any:
    """The folder's config.json, after all checks that need no weights to be read."""
    if not (folder / "config.json").is_file():
        found = "no config.json in it" if folder.is_dir() else "no such folder"
        raise ValueError(
            f"path {str(folder)!r}: {found}; give the local folder of a Hugging Face causal language model"
        )
    try:
        hf_config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(
            f"path {str(folder)!r}: config.json names no model that transformers knows ({error})"
        ) from error
    _check_architecture(hf_config, folder)
    rows = hf_config.get_text_config().vocab_size
    if rows < vocab_size:
        raise ValueError(
            f"path {str(folder)!r}: its vocabulary has {rows} tokens, fewer than the tokenizer's {vocab_size}; "
            f"use the tokenizer of this model"
        )
    if with_weights and not any(folder.glob("*.safetensors")):
        others = sorted(file.name for file in folder.iterdir() if file.suffix in (".bin", ".pt", ".pth", ".h5"))
        raise ValueError(
            f"path {str(folder)!r}: holds no *.safetensors{f' but {others[0]}' if others else ''}; only safetensors "
            f"are read, for other formats can run code: convert it with save_pretrained, or download *.safetensors"
        )
    return hf_config


def _check_architecture(hf_config: Any, folder: Any) -> None:
    known = MODEL_FOR_CAUSAL_LM_MAPPING.get(type(hf_config), None)
    names = {cls.__name__ for cls in (known if isinstance(known, tuple) else (known,)) if cls is not None}
    saved = hf_config.architectures or []
    if not names.intersection(saved):
        wanted = f"; as a causal language model it would be {' or '.join(sorted(names))}" if names else ""
        remedy = "choose a decoder-only checkpoint"
        if hf_config.model_type == "qwen2_audio":
            remedy = "the llm 'qwen2_audio' reads the one inside"
        raise ValueError(
            f"path {str(folder)!r}: holds {', '.join(saved) or hf_config.model_type}, "
            f"not a causal language model{wanted}; {remedy}"
        )
