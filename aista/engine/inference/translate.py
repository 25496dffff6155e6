"""Translates audio files that belong to no manifest."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from aista.data.audio import read_audio
from aista.data.dataset import Example, collate
from aista.data.features.base import Feature
from aista.engine.inference.trained_run import TrainedRun, open_run
from aista.errors import DataError

__all__ = ["Translator", "load_model", "translate"]


class Translator:
    """A trained model that turns audio files into text."""

    def __init__(self, run: TrainedRun) -> None:
        sections = run.experiment.sections
        if run.task.feature is None:
            raise DataError(f"{run.path}: its task {sections.task} does not take audio; name a speech run")
        self.run = run
        self._feature = run.task.feature

    def translate(self, files: Sequence[str | os.PathLike[str]], *, beam_size: int = 0) -> list[str]:
        """The translation of each file, in the order given.

        Args:
            files: Audio files in any format that soundfile reads.
            beam_size: Beams; 0 means the model's.

        Raises:
            DataError: a file is missing, undecodable, or longer than ``data.max_seconds``.
        """
        paths = [Path(file) for file in files]
        return [text for _, text in self.pairs(paths, beam_size=beam_size)]

    @torch.inference_mode()
    def pairs(self, files: Sequence[Path], *, beam_size: int = 0) -> Iterator[tuple[Path, str]]:
        """Each file with its translation, one batch at a time; see ``translate``."""
        _require(files)
        sections = self.run.experiment.sections
        generation = sections.evaluation.generation
        if beam_size:
            generation = replace(generation, beam_size=beam_size)
        size = sections.evaluation.batch_size
        for start in range(0, len(files), size):
            chunk = files[start : start + size]
            examples = [_example(file, self._feature, sections.data.max_seconds) for file in chunk]
            batch = collate(examples, self.run.task.tokenizer.pad_id).to(self.run.device)
            yield from zip(chunk, self.run.task.decode(self.run.model, batch, generation), strict=True)


def load_model(
    folder: str | os.PathLike[str],
    which: str = "best",
    *,
    device: str = "",
    base: Mapping[str, str | os.PathLike[str]] | None = None,
    verify: bool = True,
) -> Translator:
    """Open a run or an exported folder to translate with; runs no code of an exported folder.

    Args:
        folder: Run folder, or a folder that ``aista export`` wrote.
        which: Checkpoint: ``best``, ``last`` or a step number.
        device: Where to decode; empty means the GPU if there is one.
        base: Part -> folder of its base weights, for an export of the trainable weights alone.
        verify: Compare the weights with their checksums first.

    Raises:
        RunError: no such run or checkpoint, or a damaged folder.
    """
    paths = {part: Path(path) for part, path in (base or {}).items()}
    return Translator(open_run(Path(folder), which, device=device, base=paths, verify=verify))


def translate(
    run_dir: Path,
    files: Sequence[Path],
    *,
    which: str = "best",
    beam_size: int = 0,
    device: str = "",
    base: Mapping[str, Path] | None = None,
    verify: bool = True,
) -> Iterator[tuple[Path, str]]:
    """Open a model and yield each file with its translation; see ``load_model`` and ``Translator.translate``."""
    _require(files)
    yield from load_model(run_dir, which, device=device, base=base, verify=verify).pairs(files, beam_size=beam_size)


def _require(files: Sequence[Path]) -> None:
    missing = [str(file) for file in files if not file.is_file()]
    if missing:
        raise DataError(f"no such audio file: {', '.join(missing)}")


def _example(file: Path, feature: Feature, max_seconds: float) -> Example:
    wave = read_audio(str(file.resolve()), Path("."), feature.sample_rate)
    seconds = len(wave) / feature.sample_rate
    if seconds > max_seconds:
        raise DataError(
            f"{file}: {seconds:.1f} s is longer than data.max_seconds ({max_seconds:g}) of this run; split it first"
        )
    return Example(str(file), feature(wave), [], [], "", "")
