"""Linear layers with LoRA as peft has them, computed in fewer passes over memory."""

from __future__ import annotations

from typing import Any

import torch
from peft.tuners.lora.layer import Linear as PeftLinear
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["LinearWithLora"]

_LEVELS = 1 << 16


class LinearWithLora(PeftLinear):  # type: ignore[misc]
    """``W x + scale * B A dropout(x)``, added by the product with B itself.

    peft writes three tensors of the output's size; on a CPU, with outputs wider than caches, that and the drawing of
    dropout cost about as much as ``W x``. What peft's layers can do beside (several adapters, DoRA, merged weights,
    updates in another type than W) is left to them.
    """

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """``[..., I]`` -> ``[..., O]``."""
        active = [name for name in self.active_adapters if name in self.lora_A]
        plain = not (args or kwargs or self.disable_adapters or self.merged)
        if not plain or len(active) != 1 or active[0] in self.lora_variant:
            return self._forward_of_peft(x, *args, **kwargs)
        a, b, dropout = (modules[active[0]] for modules in (self.lora_A, self.lora_B, self.lora_dropout))
        if not x.dtype == a.weight.dtype == self.get_base_layer().weight.dtype:
            return self._forward_of_peft(x)
        output: Tensor = self.base_layer(x)
        x, kept = _drop(x, dropout)
        low = functional.linear(x, a.weight)
        scale = self.scaling[active[0]] / kept
        rows, low_rows = (y.reshape(-1, y.size(-1)) for y in (output, low))
        return torch.addmm(rows, low_rows, b.weight.t(), alpha=scale).view(output.shape)

    def _forward_of_peft(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        output: Tensor = super().forward(x, *args, **kwargs)
        return output


def _drop(x: Tensor, dropout: nn.Module) -> tuple[Tensor, float]:
    """``x`` with elements dropped, and by what it is to be divided yet.

    On CPUs 16 random bits decide on each element, several times faster than torch's own dropout: the probability is
    rounded to a multiple of 1/65536, and the divisor follows it, so that the mean is kept.
    """
    if not isinstance(dropout, nn.Dropout) or not dropout.training or x.device.type != "cpu":
        return dropout(x), 1.0
    threshold = round(dropout.p * _LEVELS)
    words = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(1 << 63), None)
    levels = words.view(torch.int16)[: x.numel()].view(x.shape)
    # As numbers, not as bools: torch multiplies by those several times slower.
    is_kept = torch.ge(levels, threshold - _LEVELS // 2, out=torch.empty_like(x, requires_grad=False))
    return x * is_kept, 1 - threshold / _LEVELS
