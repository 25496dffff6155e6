"""The multi-modal projector of Qwen2-Audio."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from aista.hub import local_folder
from aista.modules.adapters.base import Adapter
from aista.modules.folder_weights import fill_from_folder
from aista.modules.hf_folder import read_config
from aista.registry import register
from aista.schema import Options, required
from aista.types import zero_padding

__all__ = ["Qwen2AudioAdapter", "Qwen2AudioAdapterConfig", "qwen2_audio"]


@dataclass(frozen=True, kw_only=True)
class Qwen2AudioAdapterConfig(Options):
    """Options of the adapter ``qwen2_audio``."""

    path: Path = required(
        "Qwen2-Audio: a folder with config.json and *.safetensors, or a name on the hub.", pretrained="weights"
    )

    def skeleton(self, *, input_dim: int, output_dim: int) -> Adapter:
        """The projector from the folder's config.json alone, for weights that are loaded later."""
        return qwen2_audio(self, input_dim=input_dim, output_dim=output_dim, with_weights=False)


class Qwen2AudioAdapter(Adapter):
    """``x = W h + b``, n states -> n positions, with trained weights."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.linear = linear

    def forward(self, states: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """``[B, S, E]`` -> ``[B, S, D]``; lengths stay."""
        x_BSD: Tensor = self.linear(zero_padding(states, lengths).to(self.linear.weight.dtype))
        return x_BSD, lengths

    def output_lengths(self, lengths: Tensor) -> Tensor:
        return lengths


@register("adapter", "qwen2_audio", config=Qwen2AudioAdapterConfig)
def qwen2_audio(
    config: Qwen2AudioAdapterConfig, *, input_dim: int, output_dim: int, with_weights: bool = True
) -> Adapter:
    """The pretrained projector of Qwen2-Audio (Chu et al. 2024, arXiv 2407.10759), one linear layer.

    Only its tensors are read from the folder, as float32. Choose it between the encoder and the LLM of the same name
    and folder; with other parts its weights are useless.

    Raises:
        ValueError: the folder holds no Qwen2-Audio model in safetensors, or encoder and LLM have other widths.
    """
    folder = local_folder(config.path, "weights" if with_weights else "config")
    settings = read_config(folder, ("qwen2_audio",))
    widths = settings.audio_config.d_model, settings.text_config.hidden_size
    # Not initialised, which would also advance the random numbers of the parts built next.
    linear = nn.Linear(*widths, device="meta", dtype=torch.float32).to_empty(device=torch.get_default_device())
    if with_weights:
        fill_from_folder(linear, folder, "multi_modal_projector.linear.{}".format)
    if (linear.in_features, linear.out_features) != (input_dim, output_dim):
        raise ValueError(
            f"path: the projector in {folder} turns states of width {linear.in_features} into "
            f"{linear.out_features}, but the encoder gives {input_dim} and the LLM takes {output_dim}; take "
            "the encoder and the LLM `qwen2_audio` of the same folder, or another adapter"
        )
    return Qwen2AudioAdapter(linear)
