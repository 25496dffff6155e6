"""Injection of LoRA layers; imports peft."""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING, Any

import torch
from peft import LoraConfig as PeftConfig
from peft import inject_adapter_in_model
from peft.tuners.lora.layer import Linear as PeftLinear
from torch import nn
from transformers.pytorch_utils import Conv1D

from aista.modules.tuning._lora_linear import LinearWithLora
from aista.registry import nearest

if TYPE_CHECKING:
    from aista.modules.tuning.lora import LoraConfig

__all__ = ["inject", "merge"]

_CLOSED = (nn.MultiheadAttention, nn.TransformerEncoderLayer)
"""They hand their children's weights to fused kernels."""


def inject(part: nn.Module, config: LoraConfig) -> None:
    """Put LoRA layers in place of the target layers.

    Raises:
        ValueError: a target matches no linear layer of the part; says which there are.
    """
    targets = _targets(part, config.target_modules)
    peft = PeftConfig(
        r=config.r, lora_alpha=config.lora_alpha, lora_dropout=config.lora_dropout, target_modules=sorted(targets)
    )
    custom: dict[type[nn.Module], type[nn.Module]] = {nn.Linear: LinearWithLora}
    custom.update(dict.fromkeys(_fairseq2_classes(), _ProjectionWithLora))
    peft._register_custom_module(custom)
    with warnings.catch_warnings():
        # GPT-2's Conv1D keeps its weight transposed; peft sees that by itself and says so.
        warnings.filterwarnings("ignore", message="fan_in_fan_out is set to")
        inject_adapter_in_model(peft, part)
    for name, parameter in part.named_parameters():
        if ".lora_A." in name or ".lora_B." in name:
            # Steps of AdamW are lost in bfloat16, which keeps 8 bits of a number.
            parameter.data = parameter.data.to(torch.float32)


def merge(part: nn.Module) -> None:
    """Put the plain layers back, with their updates in the weights."""
    wrapped = [(name, module) for name, module in part.named_modules() if isinstance(module, PeftLinear)]
    for name, module in wrapped:
        _check_own_weight(part, name, module.get_base_layer().weight)
        module.merge(safe_merge=True)
        owner, _, last = name.rpartition(".")
        setattr(part.get_submodule(owner), last, module.get_base_layer())


def _check_own_weight(part: nn.Module, name: str, weight: Any) -> None:
    sharing = [other for other, own in part.named_parameters(remove_duplicate=False) if own is weight]
    if len(sharing) > 1:
        raise ValueError(f"{name} shares its weight with others ({', '.join(sharing)}), which would change with it")


class _ProjectionWithLora(LinearWithLora):
    """LoRA on a linear layer of fairseq2, which names its widths otherwise."""

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
    """Linear layers by name, without those whose weights are read past their ``forward``: they would not learn."""
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
