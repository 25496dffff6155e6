"""aista and plain transformers with the same weights on one device, and the steps that are measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.plain import PlainModel, collate, plain_dataset
from benchmarks.pretrained import Aista, Rows
from benchmarks.shapes import Folders

__all__ = ["CE_ONLY", "PLAIN", "Step", "Systems"]

CE_ONLY = "aista, CE only"
PLAIN = "plain loop"
PLAIN_30S = "plain loop, clips padded to 30 s"
SHALLOW = "aista, AI-STA at layers 0-1"
ALL = "aista, AI-STA at all layers"


@dataclass(frozen=True)
class Step:
    """One row.

    Attributes:
        layers: That aista aligns; None: the row is on cross-entropy alone.
        loss: The mean loss over target tokens, with its graph.
        model: The trained model.
        optimizer: Optimizer of its trained parameters.
    """

    layers: tuple[int, ...] | None
    loss: Callable[[], Tensor]
    model: nn.Module
    optimizer: torch.optim.Optimizer

    def __call__(self) -> None:
        """Forward, backward, gradients clipped at 1, update."""
        self.loss().backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()

    def resident_bytes(self) -> int:
        """Bytes of parameters, buffers and the optimizer's state, which stay between steps."""
        state = [value for values in self.optimizer.state.values() for value in values.values()]
        tensors = [*self.model.parameters(), *self.model.buffers(), *state]
        sizes = {x.untyped_storage().data_ptr(): x.untyped_storage().nbytes() for x in tensors if isinstance(x, Tensor)}
        return sum(sizes.values())


class Systems:
    """Both systems, and one batch as each of them takes it.

    Args:
        folders: Folders of the models.
        batch_size: Utterances of the batch.
        device: ``cpu`` or ``cuda``.
        dtype: bfloat16: weights of the language model, and autocast; float32: no autocast.
    """

    def __init__(self, folders: Folders, batch_size: int, *, device: str, dtype: torch.dtype) -> None:
        self.device, self.dtype = device, dtype
        self.ours = Aista(folders, device=device, dtype=dtype)
        self.plain = PlainModel(folders, self.ours)
        task = self.ours.task
        rows = Rows.draw(batch_size, vocab_size=task.tokenizer.vocab_size, num_mels=task.feature.dim)
        items = plain_dataset(rows, range(batch_size), self.ours)
        self.num_positions = sum(len(item["input_ids"]) - 1 for item in items)  # nothing follows EOS
        self.batch = rows.batch(range(batch_size)).to(device)
        self._plain_batch = {name: tensor.to(device) for name, tensor in collate(items).items()}

    def steps(self) -> dict[str, Step]:
        """The rows."""
        ours, plain = (partial(Step, model=m, optimizer=_adamw(m)) for m in (self.ours.model, self.plain))
        everywhere = tuple(range(self.ours.model.llm.num_layers + 1))
        return {
            PLAIN_30S: plain(layers=None, loss=partial(self._plain_loss, own_length=False)),
            PLAIN: plain(layers=None, loss=partial(self._plain_loss, own_length=True)),
            CE_ONLY: ours(layers=None, loss=partial(self._our_loss, ())),
            SHALLOW: ours(layers=(0, 1), loss=partial(self._our_loss, (0, 1))),
            ALL: ours(layers=everywhere, loss=partial(self._our_loss, everywhere)),
        }

    def train(self, mode: bool) -> None:
        """Turn dropout on or off, in both."""
        self.ours.model.train(mode)
        self.plain.train(mode)

    def _our_loss(self, layers: tuple[int, ...]) -> Tensor:
        self.ours.align(layers)
        with self._autocast():
            loss = self.ours.task.loss(self.ours.model, self.batch)
        return loss.total / loss.num_targets

    def _plain_loss(self, *, own_length: bool) -> Tensor:
        self.plain.own_length = own_length
        with self._autocast():
            loss: Tensor = self.plain(**self._plain_batch).loss
        return loss

    def _autocast(self) -> Any:
        return torch.autocast(self.device, torch.bfloat16, enabled=self.dtype == torch.bfloat16)


def _adamw(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-5)
