"""Translates audio files that belong to no manifest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from aista import registry
from aista.data.audio import read_audio
from aista.data.dataset import Example, collate
from aista.data.features.base import Feature
from aista.engine.trained import open_run
from aista.errors import DataError

__all__ = ["translate"]


@torch.inference_mode()
def translate(
    run_dir: Path, files: Sequence[Path], *, which: str = "best", beam_size: int = 0, device: str = ""
) -> Iterator[tuple[Path, str]]:
    """Translate files one batch at a time, in the order given.

    Args:
        run_dir: Run folder.
        files: Audio files in any format that soundfile reads.
        which: Checkpoint: ``best``, ``last`` or a step number.
        beam_size: Beams; 0 means the config's.
        device: Where to decode; empty means the GPU if there is one.

    Yields:
        Each file with its translation.

    Raises:
        DataError: a file is missing, undecodable, or longer than ``data.max_seconds``.
    """
    missing = [str(file) for file in files if not file.is_file()]
    if missing:
        raise DataError(f"no such audio file: {', '.join(missing)}")
    run = open_run(run_dir, which, device=device)
    sections = run.experiment.sections
    if not run.task.uses_audio:
        raise DataError(f"{run_dir}: its task {sections.task} does not take audio; name a speech run")
    generation = sections.evaluation.generation
    if beam_size:
        generation = type(generation)(**{**vars(generation), "beam_size": beam_size})
    feature = registry.build("feature", sections.data.feature, at="data.feature")
    size = sections.evaluation.batch_size
    for start in range(0, len(files), size):
        chunk = files[start : start + size]
        examples = [_example(file, feature, sections.data.max_seconds) for file in chunk]
        batch = collate(examples, run.task.tokenizer.pad_id).to(run.device)
        yield from zip(chunk, run.task.decode(run.model, batch, generation), strict=True)


def _example(file: Path, feature: Feature, max_seconds: float) -> Example:
    wave = read_audio(str(file.resolve()), Path("."), feature.sample_rate)
    seconds = len(wave) / feature.sample_rate
    if seconds > max_seconds:
        raise DataError(
            f"{file}: {seconds:.1f} s is longer than data.max_seconds ({max_seconds:g}) of this run; split it first"
        )
    return Example(str(file), feature(wave), [], [], "", "")
