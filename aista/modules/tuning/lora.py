"""Low-rank adaptation of a part's linear layers."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from peft import LoraConfig as PeftConfig
from peft import inject_adapter_in_model
from peft.tuners.lora.layer import Linear as PeftLinear
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from aista.modules.tuning.base import Tuning
from aista.modules.tuning.cheap_dropout import CheapDropout
from aista.registry import nearest, register
from aista.schema import Options, option

__all__ = ["LoraConfig", "LoraTuning"]

_CLOSED = (nn.MultiheadAttention, nn.TransformerEncoderLayer)
"""Modules that pass their children's weights to fused kernels."""


@dataclass(frozen=True, kw_only=True)
class LoraConfig(Options):
    """Options of ``lora``."""

    r: int = option(16, "Rank of the update.", minimum=1, maximum=100_000)
    lora_alpha: float = option(32.0, "The update is scaled by lora_alpha / r.", above=0)
    lora_dropout: float = option(0.05, "Dropout of the update's input.", minimum=0, maximum=0.95)
    target_modules: tuple[str, ...] | Literal["auto"] = option(
        "auto",
        "Last names of the linear layers to adapt, e.g. [q_proj, v_proj]; auto takes all of the blocks "
        "(all of the part, if it has no blocks).",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.target_modules:
            raise ValueError("target_modules must name at least one linear layer, got []; or write auto")


@register("tuning", "lora", config=LoraConfig)
class LoraTuning(Tuning):
    r"""LoRA (Hu et al. 2022, arXiv 2106.09685): freeze the part and train low-rank updates of its linear layers.

    A layer ``W x`` becomes ``W x + (lora_alpha / r) B A x`` with ``A`` of r rows and ``B`` of r columns,
    which starts at zero. The updates are kept in float32, whatever the type of W. Training all linear layers of the
    blocks, as ``auto`` does, comes closest to full fine-tuning (Dettmers et al. 2023, arXiv 2305.14314).

    Choose it to adapt a pretrained LLM or encoder: AdamW's memory shrinks to that of the updates, and a small
    corpus changes a large model little.
    """

    def __init__(self, config: LoraConfig) -> None:
        self.config = config

    def prepare(self, part: nn.Module) -> None:
        """Put LoRA layers in place of the target layers."""
        targets = _targets(part, self.config.target_modules)
        options = self.config
        peft = PeftConfig(
            r=options.r,
            lora_alpha=options.lora_alpha,
            lora_dropout=options.lora_dropout,
            target_modules=sorted(targets),
        )
        peft._register_custom_module(dict.fromkeys(_fairseq2_classes(), _ProjectionWithLora))
        with warnings.catch_warnings():
            # GPT-2's Conv1D keeps its weight transposed; peft sees that by itself and says so.
            warnings.filterwarnings("ignore", message="fan_in_fan_out is set to")
            inject_adapter_in_model(peft, part)
        for module in part.modules():
            if isinstance(module, PeftLinear) and options.lora_dropout > 0:
                module.lora_dropout = nn.ModuleDict(
                    {name: CheapDropout(options.lora_dropout) for name in module.lora_A}
                )
        for name, parameter in part.named_parameters():
            if _is_update(name):
                # AdamW's steps would be rounded away in bfloat16, which has 8 bits of precision.
                parameter.data = parameter.data.to(torch.float32)

    def merge(self, part: nn.Module) -> None:
        """``W <- W + (lora_alpha / r) B A``, and the layers are plain again."""
        wrapped = [(name, module) for name, module in part.named_modules() if isinstance(module, PeftLinear)]
        for name, module in wrapped:
            _check_own_weight(part, name, module.get_base_layer().weight)
            module.merge(safe_merge=True)
            owner, _, last = name.rpartition(".")
            setattr(part.get_submodule(owner), last, module.get_base_layer())

    def trainable(self, part: nn.Module) -> list[nn.Parameter]:
        return [parameter for name, parameter in part.named_parameters() if _is_update(name)]

    def starting_weights(self, part: nn.Module, weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Weights of the part without LoRA become the base weights; the updates keep their initial values."""
        if any(_is_update(name) for name in weights):
            return weights
        state = part.state_dict()
        updates = {name: tensor for name, tensor in state.items() if _is_update(name)}
        wrapped = {_plain(name): name for name in state if name not in updates}
        return updates | {wrapped.get(name, name): tensor for name, tensor in weights.items()}


def _is_update(name: str) -> bool:
    return ".lora_A." in name or ".lora_B." in name


def _plain(name: str) -> str:
    """The name that a parameter had before its layer was wrapped."""
    return name.replace(".base_layer.", ".")


def _check_own_weight(part: nn.Module, name: str, weight: Any) -> None:
    sharing = [other for other, own in part.named_parameters(remove_duplicate=False) if own is weight]
    if len(sharing) > 1:
        raise ValueError(f"{name} shares its weight with others ({', '.join(sharing)}), which would change with it")


class _ProjectionWithLora(PeftLinear):  # type: ignore[misc]
    """LoRA on a linear layer of fairseq2, which has other names for its widths."""

    def _get_in_out_features(self, module: Any) -> tuple[int, int]:
        return module.input_dim, module.output_dim


def _targets(part: nn.Module, wanted: tuple[str, ...] | str) -> list[str]:
    linear = _linear_layers(part)
    if not linear:
        raise ValueError(f"target_modules: {type(part).__name__} has no linear layer; choose another tuning for it")
    names = list(dict.fromkeys(name.rpartition(".")[2] for name in linear))
    if isinstance(wanted, str):
        blocks = getattr(part, "layers", None)
        inside = set(blocks.modules()) if isinstance(blocks, nn.ModuleList) else set(linear.values())
        chosen = [name for name, module in linear.items() if module in inside]
        if not chosen:
            raise ValueError(
                f"target_modules: auto takes the linear layers of the blocks, but those of {type(part).__name__} have "
                f"none; name some of {', '.join(names)}"
            )
        return chosen
    for target in wanted:
        if not any(_answers(name, target) for name in linear):
            raise ValueError(
                f"target_modules: {target!r} matches no linear layer of the part{nearest(target, names)}; "
                f"its linear layers are called {', '.join(names)}; write some of these, or auto"
            )
    return [name for name in linear if any(_answers(name, target) for target in wanted)]


def _answers(name: str, target: str) -> bool:
    return name == target or name.endswith(f".{target}")


def _linear_layers(part: nn.Module) -> dict[str, nn.Module]:
    """Linear layers by name, except those whose weights are used outside ``forward``, where updates have no effect."""
    classes = (nn.Linear, Conv1D, *_fairseq2_classes())
    closed = {child for module in part.modules() if isinstance(module, _CLOSED) for child in module.modules()}
    return {
        name: module
        for name, module in part.named_modules()
        if name and isinstance(module, classes) and module not in closed
    }


def _fairseq2_classes() -> tuple[type[nn.Module], ...]:
    """fairseq2's linear layers, if any model here is built of them."""
    library: Any = sys.modules.get("fairseq2.nn")
    names = ("Linear", "ColumnShardedLinear", "RowShardedLinear")
    return tuple(getattr(library, name) for name in names) if library is not None else ()
