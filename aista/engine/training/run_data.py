"""The data of a training: limited to the model once that is built, then read by each process."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn

from aista.data.loader import BatchLoader
from aista.engine.batch_plan import narrow, training_loader
from aista.engine.checkpoints import checkpoint_steps, load_part_weights
from aista.engine.claim import is_main_process
from aista.engine.encoder_cache.cached_encoder import CachedEncoder, require_frozen
from aista.engine.inputs import has_references, load_training_splits, probe_batches, whole_pass
from aista.engine.mixing import MOST_NAMED, mix, plan_lines, plan_record, read_lines
from aista.engine.stream_data import open_stream
from aista.engine.training.reader import LoaderReader
from aista.errors import RunError
from aista.run_folder.parsing import write_object
from aista.run_folder.paths import RunPaths
from aista.tasks.base import Task
from aista.tasks.experiment import Experiment
from aista.types import SpeechBatch

__all__ = ["RunData"]

log = logging.getLogger("aista.data")


class RunData:
    """The train and dev rows of one run.

    Args:
        experiment: Its data section names the manifests.
        task: Decides which rows it can use.
        verify: Compare a checkpoint with its checksums before its encoder is taken.

    Attributes:
        splits: ``train`` where it is a manifest, and ``dev`` where the config names it.

    Raises:
        DataError: the manifests have faults.
    """

    def __init__(self, experiment: Experiment, task: Task, *, verify: bool = True) -> None:
        self._experiment = experiment
        self._task = task
        self._verify = verify
        self._stream = open_stream(experiment, task)
        self.splits = load_training_splits(experiment, task)
        self._loader: BatchLoader | None = None
        if "train" in self.splits:
            mix(self.splits["train"], experiment)  # its faults show before a model is built

    def prepare(self, model: nn.Module, run_dir: Path, rank: int, world_size: int, device: str) -> None:
        """Leave out rows that exceed the bare model's limits, and fill the encoder cache if the config has one.

        Called once the model's frozen parts have their weights.

        Raises:
            DataError: there are rows that the model cannot take, and they are an error.
        """
        narrow(self.splits, self._task, model, self._experiment)
        if self._stream is not None:
            self._stream = self._stream.within(model)
        if is_main_process():
            streamed = {} if self._stream is None else {"train": self._stream.report}
            reports = streamed | {name: split.report for name, split in self.splits.items()}
            write_object(RunPaths(run_dir).data_file, reports)
        if self._experiment.sections.data.encoder_cache is not None:
            require_frozen(model)
            _settle_encoder(model, run_dir, verify=self._verify)
            encoder = CachedEncoder(self._experiment, model, device, rank=rank, world_size=world_size)
            self.splits = {name: encoder.serve(split) for name, split in self.splits.items()}

    def training_reader(self, rank: int, world_size: int) -> LoaderReader:
        """A process' share of the training batches."""
        num_accumulate = self._experiment.sections.trainer.grad_accumulation
        if self._stream is not None:
            return LoaderReader(self._stream.loader(rank, world_size), num_accumulate=num_accumulate)
        loader = self._loader = training_loader(self.splits["train"], self._experiment, rank, world_size)
        if loader.mixture is not None and is_main_process():
            log.info("%s", "\n".join(plan_lines(plan_record(loader.mixture, self.splits["train"]))))
            if len(loader.mixture.names) > MOST_NAMED:
                log.info("data.mix: more than %d parts, whose rows are counted at the end, not in metrics", MOST_NAMED)
        return LoaderReader(loader, num_accumulate=num_accumulate)

    def rows_read(self) -> dict[str, int]:
        """Rows of each part of ``data.mix`` that were read, earlier parts of a resumed run included; logs them."""
        if self._loader is None or self._loader.mixture is None:
            return {}
        read = self._loader.rows_read()
        log.info("%s", "\n".join(read_lines(self._loader.mixture, read)))
        return read

    def dev_reader(self, rank: int, world_size: int) -> LoaderReader | None:
        """A process' share of dev; None without one."""
        if "dev" not in self.splits:
            return None
        size = self._experiment.sections.evaluation.batch_size
        return LoaderReader(whole_pass(self.splits["dev"], size, rank, world_size))

    @property
    def has_references(self) -> bool:
        """Whether hypotheses of dev can be scored."""
        return "dev" in self.splits and has_references(self.splits["dev"], self._task)

    def probe_batches(self, size: int, device: str) -> Iterator[SpeechBatch]:
        """The dev rows for probes of layers, the same on every process."""
        if "dev" not in self.splits:
            raise RunError("layer selection needs a dev set to probe; name one in data.dev")
        return probe_batches(self.splits["dev"], size, self._experiment.sections.evaluation.batch_size, device)


def _settle_encoder(model: nn.Module, run_dir: Path, *, verify: bool) -> None:
    """Load the encoder's weights before the trainer restores or distributes them."""
    encoder = model.get_submodule("encoder")
    if checkpoint_steps(run_dir):
        encoder.load_state_dict(load_part_weights(run_dir, "encoder", "last", verify=verify))
    elif torch.distributed.is_initialized():  # the main process' initialisation counts, as in the trainer
        for tensor in encoder.state_dict().values():
            torch.distributed.broadcast(tensor, src=0)
