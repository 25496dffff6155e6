"""Checks of a pretrained model's folder, made before any library reads it: it may come from an untrusted source.

Some settings in its files make transformers run code, call other libraries, download files or read other folders,
in spite of ``trust_remote_code=False`` (docs/decisions/0029-model-folders-are-data.md).
"""

from __future__ import annotations

import json
import os
import re
import reprlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

__all__ = ["INDEX", "WEIGHTS", "check_folder", "inside", "is_tokenizer_file", "read_json", "without_safetensors"]

WEIGHTS = "model.safetensors"
INDEX = f"{WEIGHTS}.index.json"
_TEMPLATES = "additional_chat_templates"
_ATTENTION = re.compile(r"_?attn_implementation(_internal)?")
_PLAIN_ATTENTION = (None, "eager", "sdpa")
_DTYPES = (None, "auto", "float16", "bfloat16", "float32", "float64")
_SIZES = ("vocab_size", "hidden_size", "num_hidden_layers", "max_position_embeddings")
_COUNT = re.compile(r"(^|_)(num|n|layers?)(_|$)|position_embeddings|positions$")
_LARGEST_COUNT = 1 << 24
_REFUSED = {
    "quantization_config": "quantised weights are read by other libraries; get the model with plain weights",
    "configuration_files": "other config files would take this one's place; remove it",
    "transformers_weights": "weights are model.safetensors or the shards that its index names; remove it",
    "use_pretrained_backbone": "a part of the model would be downloaded; choose another model",
}
_REFUSED_BY_TOKENIZER = {
    "init_inputs": "they may name files elsewhere; remove it",
    "fast_tokenizer_files": "other files would take the place of tokenizer.json; remove it",
}
_TOKENIZER_FILE = re.compile(r"(?!special_tokens_map)\w*_(file|spm)|vocab")
_TOKENIZER_SUFFIXES = (".json", ".txt", ".model", ".jinja", ".tiktoken", ".spm", ".vocab")
_OTHER_SETTINGS = ("config.json", "generation_config.json", "preprocessor_config.json", "adapter_config.json")
_PICKLES = (".bin", ".pt", ".pth", ".h5")


def is_tokenizer_file(name: str) -> bool:
    """Whether a file of a model's folder may be one of its tokenizer's, by its name relative to the folder."""
    folder, _, file = name.rpartition("/")
    is_other = file in _OTHER_SETTINGS or file.endswith(".index.json")
    return folder in ("", _TEMPLATES) and file.endswith(_TOKENIZER_SUFFIXES) and not is_other


def without_safetensors(names: Iterable[str]) -> str:
    """What a model's files hold instead of safetensors weights, for a message; empty where these are there."""
    names = set(names)
    if names & {WEIGHTS, INDEX}:
        return ""
    pickles = sorted(name for name in names if name.endswith(_PICKLES) and "/" not in name)
    return f"only {', '.join(pickles)}, which can run code when loaded" if pickles else f"no weights ({WEIGHTS})"


def check_folder(folder: Path) -> None:
    """Refuse a folder of a Hugging Face model or tokenizer that asks for more than reading its own data.

    Raises:
        ValueError: a file is a link to elsewhere, or config.json, tokenizer_config.json or the index of the weights
            names code, other libraries, files elsewhere or an impossible size; says which file, key and value.
    """
    for file in (*folder.iterdir(), *(folder / _TEMPLATES).glob("*")):
        inside(folder, file.relative_to(folder))
    for name, faults in (("config.json", _config_faults), ("tokenizer_config.json", _tokenizer_faults)):
        file = folder / name
        for place, value, rule in faults(read_json(file)) if file.is_file() else ():
            raise ValueError(f"{file}: {place} is {reprlib.repr(value)}: {rule}")
    if (folder / INDEX).is_file():
        weight_map = read_json(folder / INDEX).get("weight_map")
        if not isinstance(weight_map, dict) or not all(isinstance(name, str) for name in weight_map.values()):
            raise ValueError(f"{folder / INDEX} has no weight_map; copy the file again")
        for name in sorted(set(weight_map.values())):
            inside(folder, name)
            if not name.endswith(".safetensors"):
                raise ValueError(f"{folder / INDEX} names {name!r}; weights are read only from *.safetensors")


def inside(folder: Path, name: str | Path) -> Path:
    """The path of a name in a folder, every link followed.

    In a snapshot of Hugging Face's cache, where files are links to the blobs beside it, these count as inside.

    Raises:
        ValueError: it lies elsewhere, or reading it might never end.
    """
    root = Path(os.path.realpath(folder))
    roots = (root, root.parents[1] / "blobs") if root.parent.name == "snapshots" else (root,)
    target = root if "\0" in str(name) else Path(os.path.realpath(root / name))
    if "\0" in str(name) or not any(target.is_relative_to(place) for place in roots):
        raise ValueError(
            f"{folder}: {str(name)!r} lies outside of the folder, where nothing is read; copy the file into it"
        )
    if target.exists() and not (target.is_file() or target.is_dir()):
        raise ValueError(f"{folder}: {str(name)!r} is a pipe, a socket or a device; remove it")
    return target


def read_json(file: Path) -> dict[str, Any]:
    """The object in a JSON file; raises ValueError naming the file where there is none."""
    try:
        settings = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file} is not valid JSON: {error}") from error
    if not isinstance(settings, dict):
        raise ValueError(f"{file} must hold a JSON object, got {type(settings).__name__}")
    return settings


def _config_faults(config: dict[str, Any]) -> Iterator[tuple[str, Any, str]]:
    """Place, value and rule of what config.json may not say, at any depth."""
    open_objects: list[tuple[str, Any]] = [("", config)]
    while open_objects:
        prefix, settings = open_objects.pop()
        for key, value in settings.items():
            place = prefix + key
            inner = value if isinstance(value, list) else [value]
            open_objects += [(f"{place}.", one) for one in inner if isinstance(one, dict)]
            if _ATTENTION.fullmatch(key):
                chosen = list(value.values()) if isinstance(value, dict) else [value]
                if not all(one in _PLAIN_ATTENTION for one in chosen):
                    yield (
                        place,
                        value,
                        "a folder may ask for 'eager' or 'sdpa', others run code from elsewhere; remove it",
                    )
            elif key in _REFUSED and value:
                yield place, value, _REFUSED[key]
            elif key == "auto_map" and prefix:
                yield place, value, "a part of the model would run code of its own; choose another model"
            elif key in ("dtype", "torch_dtype") and value not in _DTYPES:
                yield place, value, f"must be one of {', '.join(map(str, _DTYPES[2:]))}; correct it"
            elif key == "architectures" and not _is_names(value):
                yield place, value, "must be a list of names; copy the file again"
            elif key in _SIZES and not (isinstance(value, int) and value > 0):
                yield place, value, "must be a positive integer; copy the file again"
            elif _COUNT.search(key) and isinstance(value, int) and value > _LARGEST_COUNT:
                yield place, value, f"no model has more than {_LARGEST_COUNT}; copy the file again"


def _tokenizer_faults(config: dict[str, Any]) -> Iterator[tuple[str, Any, str]]:
    for key, value in config.items():
        if key in _REFUSED_BY_TOKENIZER and value:
            yield key, value, _REFUSED_BY_TOKENIZER[key]
        elif _TOKENIZER_FILE.fullmatch(key) and isinstance(value, str):
            yield key, value, "the tokenizer's files are those of the folder; remove it"


def _is_names(value: Any) -> bool:
    return value is None or (isinstance(value, list) and all(isinstance(name, str) for name in value))
