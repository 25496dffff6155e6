"""Resumes a run with another number of processes, by resharding the saved states."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from fairseq2.checkpoint.manager import StandardCheckpointManager
from fairseq2.nn.ddp import DDPModule
from fairseq2.trainer import Trainer
from torch import Size, Tensor
from torch.distributed.tensor import DTensor
from torch.distributed.tensor._utils import compute_local_shape_and_global_offset

from aista.run_folder.paths import checkpoint_name

__all__ = ["resume_from_other_processes"]

log = logging.getLogger("aista.train")

State = dict[str, Any]


def resume_from_other_processes(trainer: Trainer) -> None:
    """Make a trainer able to restore a last checkpoint written by another number of processes.

    With DDP the main process saved model and optimiser; with FSDP2 each process saved its shards, which are joined
    here, and cut again where this run is sharded. Every process reads all shards.
    """
    manager, size = trainer._checkpoint_manager, trainer._gangs.root.size
    assert isinstance(manager, StandardCheckpointManager)
    step = manager.maybe_get_last_step_number(exclude_model_only=True)
    if step is None:
        return
    saved = SavedStates(trainer, manager._checkpoint_dir / checkpoint_name(step))
    if saved.num_processes != size:
        log.info("%s: written by %d processes, resumed by %d", saved.folder, saved.num_processes, size)
        manager._load_state_dict = saved.load  # type: ignore[method-assign]


class SavedStates:
    """The states in a checkpoint's folder, as a process of the trainer needs them."""

    def __init__(self, trainer: Trainer, folder: Path) -> None:
        self.folder = folder
        self._trainer = trainer

    @property
    def num_processes(self) -> int:
        """Number of processes that wrote the checkpoint."""
        return len(self._files("trainer"))

    def load(self, step_nr: int, kind: str, pathname: str) -> State:
        """Takes the place of ``StandardCheckpointManager._load_state_dict``."""
        if kind == "model":
            return self._model()
        if kind == "optimizer":
            return self._optimizer()
        files = self._files(kind)
        own = self.folder / pathname
        state = self._read(own if own in files else files[0])
        if kind == "trainer" and own not in files:
            state["_rng_bag"] = self._trainer._rng_bag.state_dict()  # seeded by its rank, unlike the main process'
        return state

    def _files(self, kind: str) -> list[Path]:
        return sorted((self.folder / kind).glob("**/*.pt"), key=lambda file: (len(file.name), file.name))

    def _read(self, file: Path) -> State:
        manager = self._trainer._checkpoint_manager
        assert isinstance(manager, StandardCheckpointManager)
        return manager._tensor_file_loader.load(file)

    def _model(self) -> State:
        shards = [self._read(file) for file in self._files("model")]
        model = self._trainer._model
        bare = model.module if isinstance(model, DDPModule) else model
        return {
            name: cut(join([shard[name] for shard in shards], tensor.shape), tensor)
            for name, tensor in bare.state_dict().items()
        }

    def _optimizer(self) -> State:
        shards = [self._read(file) for file in self._files("optimizer")]
        groups = self._trainer._optimizer.param_groups
        parameters = [parameter for group in groups for parameter in group["params"]]

        def entry(index: int, name: str) -> Tensor:
            parameter = parameters[index]
            return _like(join([shard["state"][index][name] for shard in shards], parameter.shape), parameter)

        state = {index: {name: entry(index, name) for name in names} for index, names in shards[0]["state"].items()}
        return shards[0] | {"state": state}


def join(shards: Sequence[Tensor], shape: Size) -> Tensor:
    """The whole tensor of this shape from its shards along the first dimension, or from copies of it or of a scalar."""
    pieces = [shard.to_local() if isinstance(shard, DTensor) else shard for shard in shards]
    return pieces[0] if pieces[0].dim() == 0 or pieces[0].shape == shape else torch.cat(pieces)


def cut(whole: Tensor, target: Tensor) -> Tensor:
    """This process' part of a tensor that is to be distributed as ``target``; all of it where that is not."""
    if not isinstance(target, DTensor) or whole.dim() == 0:
        return whole
    sizes, offsets = compute_local_shape_and_global_offset(target.shape, target.device_mesh, target.placements)
    for dim, (size, offset) in enumerate(zip(sizes, offsets, strict=True)):
        whole = whole.narrow(dim, offset, size)
    return whole


def _like(whole: Tensor, parameter: Tensor) -> Tensor:
    """An optimiser's state of a whole parameter, distributed as the parameter is."""
    if not isinstance(parameter, DTensor) or whole.dim() == 0:
        return whole
    mesh, placements = parameter.device_mesh, parameter.placements
    local = cut(whole, parameter).to(parameter.device)
    return DTensor.from_local(
        local, mesh, placements, run_check=False, shape=parameter.shape, stride=parameter.stride()
    )
