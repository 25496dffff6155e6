"""The options that language models from Hugging Face folders and the hub share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

import torch

from aista.hub import has_weights, local_folder
from aista.modules.folder_weights import check_weights
from aista.modules.llms.base import LanguageModel
from aista.schema import Options, option, required

__all__ = ["FolderOptions"]


@dataclass(frozen=True, kw_only=True)
class FolderOptions(Options, ABC):
    """Folder of a pretrained model and dtype of its weights; builds the model with or without them."""

    path: Path = required("A folder with config.json and *.safetensors, or a name on the hub.", pretrained="weights")
    dtype: str = option(
        "auto", "Type of the weights; auto is the checkpoint's own.", choices=("auto", "float32", "bfloat16")
    )

    @abstractmethod
    def build(self, vocab_size: int, *, with_weights: bool) -> LanguageModel:
        """Build the model, with the folder's weights or with arbitrary ones.

        Raises:
            ValueError: the folder holds no such model, or its vocabulary is smaller than ``vocab_size``.
        """

    def outline(self, *, vocab_size: int) -> LanguageModel:
        """The model without weights; see ``aista.modules.llms.base.LanguageModel``."""
        with torch.device("meta"):
            llm = self.skeleton(vocab_size=vocab_size)
        if not has_weights(self.path):
            check_weights(self.folder(with_weights=True))
        return llm

    def folder(self, *, with_weights: bool) -> Path:
        """The model's local folder; for a name on the hub, the needed files are fetched first.

        Raises:
            ValueError: the hub does not give them.
        """
        return local_folder(self.path, "weights" if with_weights else "config")

    def skeleton(self, *, vocab_size: int) -> LanguageModel:
        """The model from the folder's config.json alone, for weights that are loaded later."""
        return self.build(vocab_size, with_weights=False)
