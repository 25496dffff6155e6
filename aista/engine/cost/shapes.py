"""Models whose tensors have shapes and types but no values, so that a real step runs without memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from typing_extensions import override

__all__ = ["Shapes", "WithoutNumbers", "like_gpu"]


class Shapes:
    """Makes tensors without values.

    They are PyTorch's fake tensors, made in one mode that is never entered: what computes with one gives another,
    while lengths, token ids and masks stay real tensors, so that code may read their values.
    """

    def __init__(self) -> None:
        self._mode = FakeTensorMode(allow_non_fake_inputs=True)

    def empty(self, *size: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """A contiguous tensor."""
        with self._mode:
            return torch.empty(*size, dtype=dtype, device="cpu")

    def convert(self, model: nn.Module) -> None:
        """Remove the values of a model in place: of parameters, and of buffers that are not integers.

        Parameters and buffers of the meta device, which never had any, become usable. Tied ones stay tied.
        """
        done: dict[Tensor, Tensor] = {}
        for module in model.modules():
            for tensors in (module._parameters, module._buffers):
                for name, tensor in tensors.items():
                    if tensor is not None and (tensor.is_floating_point() or tensor.is_meta):
                        if tensor not in done:
                            done[tensor] = self._like(tensor)
                        tensors[name] = done[tensor]  # type: ignore[assignment]

    def _like(self, tensor: Tensor) -> Tensor:
        with self._mode:
            fake = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="cpu")
        assert isinstance(fake, FakeTensor)
        return nn.Parameter(fake, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else fake


def like_gpu(wanted: bool) -> AbstractContextManager[Any]:
    """Save for backward the tensors that GPU kernels save, where CPU kernels save others."""
    return _LikeGpu() if wanted else nullcontext()


class WithoutNumbers(TorchFunctionMode):
    """Replace three functions that need values by versions that do not.

    Rows chosen by a real mask are chosen by their indices. Sequences are padded one by one, not copied into a tensor
    that has numbers. CTC's loss has no products of matrices: a sum of the right shape takes its place.
    """

    @override
    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is functional.ctc_loss and isinstance(args[0], FakeTensor):
            return args[0].sum(dim=(0, 2))
        if func is Tensor.__getitem__ and isinstance(args[0], FakeTensor) and _is_real_mask(args[1]):
            return args[0][args[1].nonzero(as_tuple=True)]
        if func is _pad_sequence and isinstance(args[0][0], FakeTensor):
            return _pad(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


_pad_sequence = torch._C._nn.pad_sequence


def _pad(
    sequences: Sequence[Tensor], batch_first: bool = False, padding_value: float = 0.0, padding_side: str = "right"
) -> Tensor:
    longest = max(map(len, sequences))
    rows = []
    for sequence in sequences:
        missing = (longest - len(sequence), 0) if padding_side == "left" else (0, longest - len(sequence))
        rows.append(functional.pad(sequence, (*(0, 0) * (sequence.dim() - 1), *missing), value=padding_value))
    return torch.stack(rows, dim=0 if batch_first else 1)


def _is_real_mask(index: Any) -> bool:
    return isinstance(index, Tensor) and index.dtype == torch.bool and not isinstance(index, FakeTensor)


class _LikeGpu(TorchFunctionMode):
    """Dropout keeps a mask of one byte a number, and autocast runs layer norms in fp32."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is functional.dropout:
            return _fused_dropout(*args, **kwargs)
        if func is functional.layer_norm and torch.is_autocast_enabled("cpu"):
            return _layer_norm(*args, **kwargs)
        return func(*args, **kwargs)


def _fused_dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    return torch.native_dropout(input, p, True)[0] if training and p > 0 else input


def _layer_norm(
    input: Tensor, shape: Any, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    weight, bias = (None if tensor is None else tensor.float() for tensor in (weight, bias))
    return torch.layer_norm(input.float(), shape, weight, bias, eps)
