"""Low-rank adaptation of a part's linear layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from aista.modules.tuning.base import Tuning
from aista.registry import register
from aista.schema import option

__all__ = ["LoraConfig", "LoraTuning"]


@dataclass(frozen=True, kw_only=True)
class LoraConfig:
    """Options of ``lora``."""

    r: int = option(16, "Rank of the update.", minimum=1)
    lora_alpha: float = option(32.0, "The update is scaled by lora_alpha / r.", above=0)
    lora_dropout: float = option(0.05, "Dropout of the update's input.", minimum=0, maximum=0.95)
    target_modules: tuple[str, ...] | Literal["auto"] = option(
        "auto",
        "Last names of the linear layers to adapt, e.g. [q_proj, v_proj]; auto takes all of the blocks "
        "(all of the part, if it has no blocks).",
    )

    def __post_init__(self) -> None:
        if not self.target_modules:
            raise ValueError("target_modules must name at least one linear layer, got []; or write auto")


@register("tuning", "lora", config=LoraConfig)
class LoraTuning(Tuning):
    r"""LoRA (Hu et al. 2022, arXiv 2106.09685): the part is frozen, its linear layers learn a low-rank update.

    A layer ``W x`` becomes ``W x + (lora_alpha / r) B A x`` with ``A`` of r rows and ``B`` of r columns,
    which starts at zero. The updates are kept in float32, whatever the type of W. Training all linear
    layers of the blocks, as ``auto`` does, is what comes closest to full fine-tuning (Dettmers et al.
    2023, arXiv 2305.14314).

    Choose it to adapt a pretrained LLM or encoder: AdamW's memory shrinks to the updates' share, and a
    large model is changed little by a small corpus.
    """

    def __init__(self, config: LoraConfig) -> None:
        self.config = config

    def prepare(self, part: nn.Module) -> None:
        """Wrap the target layers; see ``Tuning.prepare``."""
        from aista.modules.tuning._lora import inject

        inject(part, self.config)

    def merge(self, part: nn.Module) -> None:
        """``W <- W + (lora_alpha / r) B A``, and the layers are plain again; see ``Tuning.merge``."""
        from aista.modules.tuning._lora import merge

        merge(part)

    def trainable(self, part: nn.Module) -> list[nn.Parameter]:
        """The matrices A and B."""
        return [parameter for name, parameter in part.named_parameters() if _is_update(name)]

    def starting_weights(self, part: nn.Module, weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Weights of the part without LoRA go below its updates, which keep their start."""
        if any(_is_update(name) for name in weights):
            return weights
        own = part.state_dict()
        updates = {name: tensor for name, tensor in own.items() if _is_update(name)}
        wrapped = {_plain(name): name for name in own if name not in updates}
        return updates | {wrapped.get(name, name): tensor for name, tensor in weights.items()}


def _is_update(name: str) -> bool:
    return ".lora_A." in name or ".lora_B." in name


def _plain(name: str) -> str:
    """The name that a parameter had before its layer was wrapped."""
    return name.replace(".base_layer.", ".")
