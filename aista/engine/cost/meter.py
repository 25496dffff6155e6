"""Counts the floating-point operations of a step and follows the memory that it holds."""

from __future__ import annotations

import bisect
import math
import weakref
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

__all__ = ["FORMULAS", "REST", "Operations", "StepMeter"]

REST = "rest"
"""Name for operations outside the parts' forward, mainly the projection to logits."""


class Operations(NamedTuple):
    """Floating-point operations of matrix products, convolutions and attention; a multiplication and addition are two.

    Attributes:
        forward: In the forward pass.
        backward: In the backward pass: gradients of states, and of weights where these are trained.
        recomputed: Operations that activation checkpointing repeats in the backward pass.
    """

    forward: int = 0
    backward: int = 0
    recomputed: int = 0

    @property
    def total(self) -> int:
        """Sum of the three."""
        return sum(self)


def _attention(query: torch.Size, key: torch.Size, value: torch.Size, *_: Any, **__: Any) -> int:
    """``2 B H N M (K + K')``: scores and values; a causal mask saves nothing here, as in PyTorch's own counter."""
    *rows, size, width = query
    return 2 * math.prod(rows) * size * key[-2] * (width + value[-1])


def _attention_backward(
    _: torch.Size, query: torch.Size, key: torch.Size, value: torch.Size, *__: Any, **___: Any
) -> int:
    """``2 B H N M (3 K + 2 K')``: scores again, and gradients of queries, keys, values and weights."""
    *rows, size, width = query
    return 2 * math.prod(rows) * size * key[-2] * (3 * width + 2 * value[-1])


def _sequence_number() -> int:
    """Number of the next node that joins the graph."""
    number: int = torch._C._autograd._get_sequence_nr()
    return number


_aten = torch.ops.aten
FORMULAS: dict[Any, Callable[..., int]] = {
    _aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    _aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
}
"""Formulas that PyTorch's counter lacks, of the sizes of an operation's tensors."""


class StepMeter(TorchDispatchMode):
    """Measures the operations and memory of the code run inside it.

    Attributes:
        operations: (part, number of the pass through it, counted from 1) -> [forward, backward, recomputed].
        by_type: The same by compute dtype.
        live: Bytes of the tensors that were made inside and still exist, gradients included.
        peak: Maximum of ``live``.
        gradients_at_peak: Finished gradients of parameters among them.
        peak_without_gradients: Maximum of ``live`` without such gradients.
    """

    def __init__(self, model: nn.Module, inputs: Iterable[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations: dict[tuple[str, int], list[int]] = defaultdict(lambda: [0, 0, 0])
        self.by_type: dict[torch.dtype, int] = defaultdict(int)
        self.live = self.peak = self.gradients_at_peak = self.peak_without_gradients = 0
        self._gradients = 0
        self._model = model
        self._known: dict[int, int] = {}
        for tensor in (*model.parameters(), *model.buffers(), *inputs):
            self._known[tensor.untyped_storage()._cdata] = 0
        self._inside: list[tuple[str, int]] = []
        self._passes: dict[str, int] = defaultdict(int)
        self._spans: list[tuple[int, int, tuple[str, int]]] = []

    @contextmanager
    def measuring(self) -> Iterator[None]:
        """Count until the end of the block, by the model's parts: its direct children that have parameters."""
        with ExitStack() as stack:
            for name, part in self._model.named_children():
                if any(True for _ in part.parameters()):
                    for handle in self._watch(name, part):
                        stack.callback(handle.remove)
            for parameter in self._model.parameters():
                if parameter.requires_grad:
                    handle = parameter.register_post_accumulate_grad_hook(self._finish_gradient)  # type: ignore[no-untyped-call]
                    stack.callback(handle.remove)
            stack.enter_context(self)
            yield

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation, count it, and follow its results."""
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        packet = func._overloadpacket
        if packet in FORMULAS:
            self._count(FORMULAS[packet](*(arg.shape if isinstance(arg, Tensor) else arg for arg in args)), args[0])
        elif packet in flop_registry:
            self._count(flop_registry[packet](*args, **kwargs, out_val=out), args[0])
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor):
                self._follow(tensor.untyped_storage())
        return out

    def _count(self, operations: int, operand: Tensor) -> None:
        self.by_type[operand.dtype] += operations
        node: Any = torch._C._current_autograd_node()
        if node is None:
            place, direction = self._inside[-1] if self._inside else (REST, 1), 0
        else:
            # Only recomputed blocks build a graph within the backward pass.
            place, direction = self._place_of(node._sequence_nr()), 2 if torch.is_grad_enabled() else 1
        self.operations[place][direction] += operations

    def _watch(self, name: str, part: nn.Module) -> Iterator[Any]:
        start: list[int] = []

        def before(*_: Any) -> None:
            self._passes[name] += 1
            self._inside.append((name, self._passes[name]))
            start.append(_sequence_number())

        def behind(*_: Any) -> None:
            self._spans.append((start.pop(), _sequence_number(), self._inside.pop()))

        yield part.register_forward_pre_hook(before)
        yield part.register_forward_hook(behind, always_call=True)

    def _place_of(self, sequence: int) -> tuple[str, int]:
        """The part whose forward created an autograd node."""
        index = bisect.bisect_right(self._spans, sequence, key=lambda span: span[0]) - 1
        if index >= 0 and sequence < self._spans[index][1]:
            return self._spans[index][2]
        return REST, 1

    def _follow(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key in self._known:
            return
        self._known[key] = storage.nbytes()
        self.live += storage.nbytes()
        if self.live > self.peak:
            self.peak, self.gradients_at_peak = self.live, self._gradients
        self.peak_without_gradients = max(self.peak_without_gradients, self.live - self._gradients)
        weakref.finalize(storage, self._free, key).atexit = False

    def _free(self, key: int) -> None:
        self.live -= self._known.pop(key, 0)

    def _finish_gradient(self, parameter: Tensor) -> None:
        assert parameter.grad is not None
        self._gradients += parameter.grad.untyped_storage().nbytes()
