"""Models in local Hugging Face folders: checked, and built with the folder's weights or without; imports transformers.

Nothing is downloaded, no code of a folder runs, and weights are read from safetensors alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from transformers import AutoConfig
from transformers.modeling_utils import no_init_weights
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING
from transformers.utils import logging

__all__ = [
    "build_model",
    "build_skeleton",
    "check_vocabulary",
    "check_weights",
    "fill_from_folder",
    "read_causal_config",
    "read_config",
    "read_json",
    "saved_dtype",
]

_INDEX = "model.safetensors.index.json"
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.h5")


def read_json(file: Path) -> dict[str, Any]:
    """The object in a JSON file; raises ValueError naming the file where there is none."""
    try:
        settings = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"path: {file} is not valid JSON: {error}") from error
    if not isinstance(settings, dict):
        raise ValueError(f"path: {file} must hold a JSON object, got {type(settings).__name__}")
    return settings


def read_config(folder: Path, model_types: Collection[str] = (), *, remedy: str = "", **changes: Any) -> Any:
    """Transformers' config of the folder's model.

    Args:
        folder: Holds config.json; weights are not looked for.
        model_types: What config.json may call the model; empty for anything that transformers knows.
        remedy: What to do about a model of another type.
        changes: Values to override.

    Raises:
        ValueError: there is no config.json, or it describes another model.
    """
    file = folder / "config.json"
    if not file.is_file():
        reason = "no config.json in it" if folder.is_dir() else "no such folder"
        raise ValueError(f"path: {folder} is not the folder of a Hugging Face model ({reason})")
    model_type = read_json(file).get("model_type")
    if model_types and model_type not in model_types:
        wanted = " or ".join(repr(name) for name in model_types)
        then = f"; {remedy}" if remedy else ""
        raise ValueError(f"path: {folder} holds a model of type {model_type!r}, not {wanted}{then}")
    try:
        return AutoConfig.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False, **changes)
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"path: {file} names no model that transformers knows ({error})") from error


def read_causal_config(folder: Path, vocab_size: int, model_types: Collection[str] = (), *, remedy: str = "") -> Any:
    """The config of a causal language model that holds a tokenizer's vocabulary; arguments as of ``read_config``.

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
    rows = config.get_text_config().vocab_size
    if rows < vocab_size:
        raise ValueError(
            f"path: the vocabulary of {folder} has {rows} tokens, fewer than the tokenizer's {vocab_size}; use the "
            "tokenizer of this model"
        )


def check_weights(folder: Path) -> None:
    """Raise ValueError if the folder holds no safetensors."""
    if any(folder.glob("*.safetensors")):
        return
    pickles = sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern))
    content = f"only {', '.join(pickles)}, which can run code when loaded" if pickles else "no weights"
    raise ValueError(
        f"path: {folder} holds {content}; weights are read from *.safetensors alone: get model.safetensors, or load "
        "a file you trust with transformers once and save_pretrained(..., safe_serialization=True)"
    )


def saved_dtype(config: Any, dtype: str) -> torch.dtype:
    """The type that an option ``dtype`` stands for: ``auto`` is the checkpoint's own."""
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
    """The folder's model in evaluation mode.

    Args:
        auto_class: ``AutoModel``, ``AutoModelForCausalLM`` ...
        folder: Where the weights are.
        config: As ``read_config`` gives it.
        with_weights: Whether to read them; otherwise they are arbitrary (see ``build_skeleton``).
        dtype: Of the weights: ``auto`` (the checkpoint's own), ``float32`` or ``bfloat16``.
        attention: Attention implementation; ``auto`` is the model's own choice.
        part: Prefix of the tensors that must not be missing.

    Raises:
        ValueError: the model cannot be built, its weights cannot be read, or tensors are missing or of another shape.
    """
    if not with_weights:
        return build_skeleton(auto_class, folder, config, dtype=saved_dtype(config, dtype), attention=attention)
    check_weights(folder)
    try:
        with _without_remarks():
            model, report = auto_class.from_pretrained(
                str(folder),
                config=config,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                dtype=dtype,
                output_loading_info=True,
                **_choice(attention),
            )
    except (ImportError, OSError, RuntimeError, ValueError, KeyError, SafetensorError) as error:
        raise ValueError(f"path: the model in {folder} cannot be loaded: {error}") from error
    absent = [*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])]
    _refuse_absent([key for key in absent if key.startswith(part)], folder)
    return model


def build_skeleton(auto_class: Any, folder: Path, config: Any, *, dtype: torch.dtype, attention: str = "auto") -> Any:
    """The model of a config, or of a config inside it, with arbitrary weights and in evaluation mode.

    On torch's meta device too, where it has none.

    Raises:
        ValueError: the model cannot be built.
    """
    try:
        with _without_remarks(), no_init_weights():
            model = auto_class.from_config(config, dtype=dtype, trust_remote_code=False, **_choice(attention))
    except (ImportError, RuntimeError, ValueError, KeyError) as error:
        raise ValueError(f"path: the model in {folder} cannot be built: {error}") from error
    model.tie_weights()  # left out with the initialisation
    return model.eval()


def fill_from_folder(
    module: nn.Module,
    folder: Path,
    saved_name: Callable[[str], str],
    convert: Callable[[str, Tensor], Tensor] = lambda _, tensor: tensor,
) -> None:
    """Copy a module's parameters and persistent buffers from a folder's safetensors, in the module's types.

    Tensors are read one by one, those of the module and no others. Of names that are tied in the module, one in the
    folder is enough.

    Args:
        module: Built, with arbitrary weights.
        folder: Holds the weights in one file, or in shards with or without an index.
        saved_name: Name in the module's state -> name in the folder.
        convert: Name and value as saved -> the value as the module wants it, of the same shape.

    Raises:
        ValueError: a file is missing or damaged, tensors are missing or of another shape.
    """
    check_weights(folder)
    places = _places(folder)
    targets = {saved_name(name): tensor for name, tensor in module.state_dict(keep_vars=True).items()}
    wanted = {name: tensor for name, tensor in targets.items() if name in places}
    present = {id(tensor) for tensor in wanted.values()}
    _refuse_absent([name for name, tensor in targets.items() if id(tensor) not in present], folder)
    with torch.no_grad():
        for name, tensor in _read(wanted, places):
            if tensor.shape != wanted[name].shape:
                raise ValueError(
                    f"path: {name} in {places[name]} has shape {list(tensor.shape)}, but config.json describes "
                    f"{list(wanted[name].shape)}; the files belong to different models"
                )
            wanted[name].copy_(convert(name, tensor))


def _choice(attention: str) -> dict[str, str]:
    return {} if attention == "auto" else {"attn_implementation": attention}


def _refuse_absent(names: Collection[str], folder: Path) -> None:
    if names:
        raise ValueError(
            f"path: the weights in {folder} lack {len(names)} tensors, e.g. {min(names)}; they are incomplete or "
            "belong to another architecture"
        )


@contextmanager
def _without_remarks() -> Iterator[None]:
    """Without transformers' warnings: heads are meant to be left out, and what is missing is an error here."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)


def _places(folder: Path) -> dict[str, Path]:
    """The file of every tensor: as the index says, or as the files themselves do where there is none."""
    if (folder / _INDEX).is_file():
        index = read_json(folder / _INDEX).get("weight_map")
        if not isinstance(index, dict):
            raise ValueError(f"path: {folder / _INDEX} has no weight_map; copy the file again")
        return {name: folder / Path(str(file)).name for name, file in index.items()}
    places: dict[str, Path] = {}
    for file in sorted(folder.glob("*.safetensors")):
        with _opened(file) as tensors:
            places |= dict.fromkeys(tensors.keys(), file)
    return places


def _read(names: Mapping[str, Tensor], places: Mapping[str, Path]) -> Iterator[tuple[str, Tensor]]:
    """The named tensors, file by file."""
    for file in sorted({places[name] for name in names}):
        if not file.is_file():
            raise ValueError(f"path: {file} is missing, but {_INDEX} names it; copy the file")
        with _opened(file) as tensors:
            content = set(tensors.keys())
            for name in sorted(name for name in names if places[name] == file):
                if name not in content:
                    raise ValueError(f"path: {file} lacks {name}, which {_INDEX} says it holds; copy the file again")
                yield name, tensors.get_tensor(name)


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    try:
        with safe_open(file, framework="pt") as tensors:
            yield tensors
    except (SafetensorError, OSError) as error:
        raise ValueError(f"path: {file} is damaged or no safetensors ({error}); copy the file again") from error
