"""Runs a frozen encoder once per recording: fills ``data.encoder_cache`` and lets splits read from it.

Each recording is encoded alone. The last bits of a row's states depend on the rows beside it (matrix products of other
sizes round in another order): encoded alone, they are a function of the recording, whoever fills the cache and in how
many attempts.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from aista import registry
from aista.data.encoder_caches.base import EncoderCache
from aista.data.manifest import Row
from aista.data.row_tasks import is_text_row
from aista.data.states import StoredStates, recording_keys
from aista.engine.encoder_cache.identity import encoder_identity
from aista.engine.inputs import Split, whole_pass
from aista.errors import ConfigError, Fault, RunError
from aista.modules.encoders.base import SpeechEncoder
from aista.modules.generation import evaluating
from aista.tasks.data_checks import FREEZE_ENCODER
from aista.tasks.experiment import Experiment
from aista.tasks.limits import input_lengths
from aista.terminal import stage_bars

__all__ = ["CachedEncoder", "require_frozen", "with_encoder_states"]

log = logging.getLogger("aista.data")

WRITE_BYTES = 1 << 28
WRITE_SECONDS = 60.0
PATIENCE_SECONDS = 1800.0
_POLL_SECONDS = 0.2
_CHUNK = 256  # the cache is asked again before each chunk: other processes may have encoded its recordings


def require_frozen(model: nn.Module) -> None:
    """Refuse a model whose encoder is trained; call it after ``Task.select_trainable``.

    Raises:
        ConfigError: a parameter of the encoder is trained; names one.
    """
    trained = [name for name, parameter in _encoder_of(model).named_parameters() if parameter.requires_grad]
    if not trained:
        return
    problem = f"needs a frozen encoder, but {len(trained)} of its tensors are trained, e.g. encoder.{trained[0]}"
    if any(name.startswith("mix.") for name in trained):
        problem += " (the weights of a sum of layers are learned: give `layers` a number, or last)"
    raise ConfigError([Fault("data.encoder_cache", problem, FREEZE_ENCODER)])


def with_encoder_states(split: Split, experiment: Experiment, model: nn.Module, device: str) -> Split:
    """The split with encoder states in place of audio; the split itself where the config names no cache."""
    if experiment.sections.data.encoder_cache is None:
        return split
    return CachedEncoder(experiment, model, device).serve(split)


class CachedEncoder:
    """A frozen encoder and the cache of its states.

    Args:
        experiment: Its config names the cache.
        model: Has the encoder, with its final weights.
        device: Device of the model.
        rank: This process' number; each process encodes its share of a split and waits for the others.
        world_size: Number of processes.
    """

    def __init__(
        self, experiment: Experiment, model: nn.Module, device: str, *, rank: int = 0, world_size: int = 1
    ) -> None:
        data = experiment.sections.data
        assert data.encoder_cache is not None
        self._encoder = _encoder_of(model)
        identity = encoder_identity(experiment, self._encoder)
        self.cache: EncoderCache = registry.build(
            "encoder_cache", data.encoder_cache, at="data.encoder_cache", identity=identity
        )
        self._device = device
        self._rank = rank
        self._world_size = world_size
        self._num_workers = data.num_workers

    def serve(self, split: Split) -> Split:
        """The split with encoder states in place of audio; missing states are encoded now.

        Raises:
            DataError: a recording cannot be read, or its states cannot be kept.
            RunError: another process of this run has stopped encoding.
        """
        keys = _hash_recordings(split)
        rows = _one_each(split.dataset.rows, keys)
        missing = self.cache.missing(rows)
        if missing:
            self.cache.require_space(self._num_bytes(split, [rows[key] for key in missing]))
            self._fill(split, rows)
        log.info(
            "%s: encoder states of %d recordings: %d cached, %d encoded now; in %s",
            split.name,
            len(rows),
            len(rows) - len(missing),
            len(missing),
            self.cache,
        )
        return replace(split, dataset=split.dataset.with_states(StoredStates(self.cache, keys)))

    def describe_need(self, split: Split) -> str:
        """Describe what ``serve`` would encode and write."""
        rows = _one_each(split.dataset.rows, _hash_recordings(split))
        missing = self.cache.missing(rows)
        size = self._num_bytes(split, [rows[key] for key in missing])
        return (
            f"{split.name}: encoder states of {len(rows)} recordings: {len(rows) - len(missing)} cached, "
            f"{len(missing)} to encode, which takes {size / 2**20:.1f} MiB; in {self.cache}"
        )

    def _num_bytes(self, split: Split, rows: Sequence[Row]) -> int:
        feature = split.dataset.feature
        assert feature is not None
        lengths = input_lengths([row.seconds for row in rows], feature)
        num_states = int(self._encoder.output_lengths(lengths).sum()) if rows else 0
        return num_states * self._encoder.output_dim * self.cache.bytes_per_value

    def _fill(self, split: Split, rows: Mapping[str, Row]) -> None:
        """Encode this process' share of the recordings, short to long, and wait until none is missing."""
        order = sorted(rows, key=lambda key: rows[key].seconds)
        share = order[self._rank :: self._world_size]
        with evaluating(self._encoder), stage_bars() as progress:
            self._encode(split, {key: rows[key] for key in share}, partial(progress, f"encoding {split.name}"))
        self._wait(order)

    def _encode(self, split: Split, rows: Mapping[str, Row], progress: Callable[[int, int], None]) -> None:
        """Encode and write the missing states of ``rows``, in portions of one file."""
        keys, done = list(rows), 0
        encoded, size, started = dict[str, Tensor](), 0, time.monotonic()
        for start in range(0, len(keys), _CHUNK):
            chunk = keys[start : start + _CHUNK]
            missing = self.cache.missing(chunk)
            done += len(chunk) - len(missing)
            for key, states_SE in self._run_encoder(split, {key: rows[key] for key in missing}):
                encoded[key] = states_SE
                size += states_SE.nbytes
                done += 1
                progress(done, len(keys))
                if size >= WRITE_BYTES or time.monotonic() - started >= WRITE_SECONDS:
                    self.cache.write(encoded)
                    encoded, size, started = {}, 0, time.monotonic()
        self.cache.write(encoded)

    @torch.inference_mode()
    def _run_encoder(self, split: Split, rows: Mapping[str, Row]) -> Iterator[tuple[str, Tensor]]:
        """Key and ``[S, E]`` states, on the CPU, of each row."""
        if not rows:
            return
        weight = next(self._encoder.parameters(), torch.empty(0))
        named = [replace(row, id=key) for key, row in rows.items()]  # ids may be those of rows in other manifests, too
        part = replace(split, dataset=split.dataset.with_rows(named))
        with whole_pass(part, batch_size=1, num_workers=self._num_workers) as loader:
            for batch in loader:
                batch = batch.to(self._device)
                states_BSE, lengths = self._encoder(batch.audio.to(weight.dtype), batch.audio_lengths)
                yield batch.ids[0], states_BSE[0, : int(lengths[0])].to("cpu", copy=True)

    def _wait(self, keys: Collection[str]) -> None:
        """Wait until other processes have written their recordings."""
        left, since = len(keys) + 1, time.monotonic()
        while missing := self.cache.missing(keys):
            if left > len(keys):
                log.info("waiting for other processes to encode %d recordings", len(missing))
            if len(missing) < left:
                left, since = len(missing), time.monotonic()
            if time.monotonic() - since > PATIENCE_SECONDS:
                raise RunError(
                    f"{self.cache}: {left} recordings are left to other processes of this run, and none has come in "
                    f"for {PATIENCE_SECONDS / 60:.0f} minutes; repeat the command to continue from here"
                )
            time.sleep(_POLL_SECONDS)


def _encoder_of(model: nn.Module) -> SpeechEncoder:
    encoder = model.get_submodule("encoder")
    assert isinstance(encoder, SpeechEncoder)
    return encoder


def _hash_recordings(split: Split) -> dict[str, str]:
    first, *_ = split.inspections  # paths of further manifests are absolute
    with stage_bars() as progress:
        rows = split.dataset.rows
        return recording_keys(
            rows.where(rows.is_filled("audio")), first.manifest, partial(progress, f"hashing {split.name}")
        )


def _one_each(rows: Sequence[Row], keys: Mapping[str, str]) -> dict[str, Row]:
    """Key -> the first row of that recording; text rows have none."""
    first: dict[str, Row] = {}
    for row in rows:
        if is_text_row(row.task):
            continue
        first.setdefault(keys[row.audio], row)
    return first
