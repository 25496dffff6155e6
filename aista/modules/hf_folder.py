"""Models in local Hugging Face folders: checked, and built with the folder's weights or without; imports transformers.

Only ``aista.hub`` downloads. No code of a folder runs, and weights are read from safetensors only. Every folder is
checked by ``aista.model_folder.check_folder`` before transformers reads it.
"""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, GenerationConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING
from transformers.utils import is_flash_attn_2_available, logging

from aista.model_folder import check_folder, read_json
from aista.modules.folder_weights import bounded_by, check_weights, refuse_absent, refuse_surplus
from aista.modules.transformers_versions import no_init_weights

__all__ = [
    "build_model",
    "build_skeleton",
    "check_vocabulary",
    "model_errors",
    "read_causal_config",
    "read_config",
    "saved_dtype",
]

_ADAPTER = "adapter_config.json"


def read_config(folder: Path, model_types: Collection[str] = (), *, remedy: str = "", **changes: Any) -> Any:
    """Transformers' config of the folder's model.

    Args:
        folder: Holds config.json; weights are not looked for.
        model_types: Model types allowed in config.json; empty for any that transformers knows.
        remedy: Advice for a model of another type.
        changes: Values to override.

    Raises:
        ValueError: there is no config.json, or it describes another model.
    """
    file = folder / "config.json"
    if not file.is_file():
        reason = "no config.json in it" if folder.is_dir() else "no such folder"
        raise ValueError(f"path: {folder} is not the folder of a Hugging Face model ({reason})")
    check_folder(folder)
    if (folder / _ADAPTER).exists():
        raise ValueError(
            f"path: {folder} holds {_ADAPTER}, by which transformers loads the model that it names instead; merge the "
            "adapter into its base model (peft's merge_and_unload), or remove the file"
        )
    model_type = read_json(file).get("model_type")
    if model_types and model_type not in model_types:
        wanted = " or ".join(repr(name) for name in model_types)
        then = f"; {remedy}" if remedy else ""
        raise ValueError(f"path: {folder} holds a model of type {model_type!r}, not {wanted}{then}")
    try:
        return AutoConfig.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False, **changes)
    except Exception as error:  # transformers raises whatever its configs meet
        raise ValueError(
            f"path: {file} names no model that transformers knows ({_summary(error)}); choose one "
            "that it builds without code of the folder"
        ) from error


def read_causal_config(folder: Path, vocab_size: int, model_types: Collection[str] = (), *, remedy: str = "") -> Any:
    """The config of a causal language model that covers a tokenizer's vocabulary; arguments as in ``read_config``.

    Raises:
        ValueError: the folder holds something else, or its vocabulary is too small.
    """
    config = read_config(folder, model_types, remedy=remedy)
    known = MODEL_FOR_CAUSAL_LM_MAPPING.get(type(config), None)
    names = {cls.__name__ for cls in (known if isinstance(known, tuple) else (known,)) if cls is not None}
    saved = config.architectures or []
    if not names.intersection(saved):
        wanted = f"; as a causal language model it would be {' or '.join(sorted(names))}" if names else ""
        instead = "choose a decoder-only checkpoint"
        if config.model_type == "qwen2_audio":
            instead = "the llm 'qwen2_audio' reads the one inside"
        raise ValueError(
            f"path: {folder} holds {', '.join(saved) or config.model_type}, not a causal language model{wanted}; "
            f"{instead}"
        )
    check_vocabulary(config, folder, vocab_size)
    return config


def check_vocabulary(config: Any, folder: Path, vocab_size: int) -> None:
    """Raise ValueError if the language model of a config has fewer tokens than the tokenizer."""
    rows = getattr(config.get_text_config(), "vocab_size", None)
    if not isinstance(rows, int):
        raise ValueError(f"path: config.json in {folder} gives the language model no vocab_size; copy the file again")
    if rows < vocab_size:
        raise ValueError(
            f"path: the vocabulary of {folder} has {rows} tokens, fewer than the tokenizer's {vocab_size}; use the "
            "tokenizer of this model"
        )


def saved_dtype(config: Any, dtype: str) -> torch.dtype:
    """The torch dtype of an option ``dtype``: ``auto`` is the checkpoint's own."""
    saved: torch.dtype = getattr(config, "dtype", None) or torch.float32
    return saved if dtype == "auto" else getattr(torch, dtype)


def build_model(
    auto_class: Any,
    folder: Path,
    config: Any,
    *,
    with_weights: bool,
    dtype: str = "auto",
    attention: str = "auto",
    part: str = "",
) -> Any:
    """Build the folder's model, in evaluation mode.

    Args:
        auto_class: ``AutoModel``, ``AutoModelForCausalLM`` ...
        folder: Folder of the weights.
        config: As ``read_config`` gives it.
        with_weights: Whether to read them; otherwise they are arbitrary (see ``build_skeleton``).
        dtype: Dtype of the weights: ``auto`` (the checkpoint's own), ``float32`` or ``bfloat16``.
        attention: Attention implementation; ``auto`` is the model's own choice.
        part: Prefix of the tensors that must not be missing.

    Raises:
        ValueError: the model cannot be built, its weights cannot be read, or tensors are missing or of another shape.
    """
    if not with_weights:
        return build_skeleton(auto_class, folder, config, dtype=saved_dtype(config, dtype), attention=attention)
    check_weights(folder)
    with model_errors(folder, "loaded"), _without_remarks():
        model, report = auto_class.from_pretrained(
            str(folder),
            config=config,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=dtype,
            output_loading_info=True,
            generation_config=GenerationConfig(),  # else the folder's own custom_generate/generate.py runs
            **_choice(attention),
        )
    absent = [*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])]
    refuse_absent([key for key in absent if key.startswith(part)], folder)
    refuse_surplus(report["unexpected_keys"], model.state_dict().keys(), folder)
    return model


def build_skeleton(auto_class: Any, folder: Path, config: Any, *, dtype: torch.dtype, attention: str = "auto") -> Any:
    """Build the model of a config, or of a config inside it, with arbitrary weights, in evaluation mode.

    On torch's meta device too, where it has none.

    Raises:
        ValueError: the model cannot be built.
    """
    with model_errors(folder, "built"), _without_remarks(), no_init_weights():
        model = auto_class.from_config(config, dtype=dtype, trust_remote_code=False, **_choice(attention))
    model.tie_weights()  # left out with the initialisation
    return model.eval()


@contextmanager
def model_errors(folder: Path, what: str) -> Iterator[None]:
    """Bound the model that is built in the block by its folder's weights, and name the folder in errors.

    Args:
        folder: The model's.
        what: The action, such as "loaded".

    Raises:
        ValueError: any error in the block.
    """
    try:
        with bounded_by(sorted(folder.glob("*.safetensors"))):
            yield
    except Exception as error:  # transformers raises whatever its models meet
        raise ValueError(f"path: the model in {folder} cannot be {what}: {_summary(error)}") from error


def _choice(attention: str) -> dict[str, str]:
    if attention.startswith("flash_attention") and not is_flash_attn_2_available():
        # transformers would fetch a kernel where the package `kernels` is installed
        raise ValueError(f"attention: {attention} needs the package flash-attn; install it, or choose sdpa")
    return {} if attention == "auto" else {"attn_implementation": attention}


def _summary(error: Exception) -> str:
    return textwrap.shorten(str(error) or type(error).__name__, 400, placeholder=" ...")


@contextmanager
def _without_remarks() -> Iterator[None]:
    """Silence transformers' warnings: heads are left out on purpose, and missing tensors are an error here."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
