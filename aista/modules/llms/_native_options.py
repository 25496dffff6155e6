"""The options that the native families share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from aista.errors import RunError
from aista.modules.llms.base import LanguageModel
from aista.native import preload_libsndfile
from aista.schema import option, required

__all__ = ["NativeConfig"]


@dataclass(frozen=True, kw_only=True)
class NativeConfig:
    """Options of ``qwen`` and ``llama``."""

    model_types: ClassVar[tuple[str, ...]]
    """What config.json may call the model."""

    path: Path = required("Hugging Face folder with config.json and *.safetensors.")
    dtype: str = option(
        "auto", "Type of the weights; auto is the checkpoint's own.", choices=("auto", "float32", "bfloat16")
    )

    def outline(self, *, vocab_size: int) -> LanguageModel:
        """The model without weights; see ``aista.modules.llms.base.LanguageModel``."""
        return self.build("outline", vocab_size)

    def skeleton(self, *, vocab_size: int) -> LanguageModel:
        """The model from the folder's config.json alone, for weights that are loaded later."""
        return self.build("skeleton", vocab_size)

    def build(self, how: Literal["load", "outline", "skeleton"], vocab_size: int) -> LanguageModel:
        """The model by a function of ``aista.modules.llms._native``.

        Raises:
            ValueError: the folder holds no such model.
            RunError: fairseq2 cannot be imported.
        """
        try:
            preload_libsndfile()
            from aista.modules.llms import _native
        except (ImportError, OSError) as error:
            raise RunError(
                f"fairseq2's language models need fairseq2, which cannot be imported here ({error}); install it, or "
                "use hf_causal_lm"
            ) from error
        function: Callable[[NativeConfig, int], LanguageModel] = getattr(_native, how)
        return function(self, vocab_size)
