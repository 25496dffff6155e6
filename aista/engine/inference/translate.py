"""Translates audio files that belong to no manifest."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from aista.data.audio import one_thread, read_audio
from aista.data.dataset import Example, collate
from aista.data.manifest import MANIFEST_SAMPLE_RATE, Row
from aista.data.row_checks import Limit, duration_findings
from aista.engine.inference.trained_run import TrainedRun, open_run
from aista.errors import DataError, RunError
from aista.modules.llms.base import GenerationConfig

__all__ = ["Translation", "Translator", "load_model", "translate"]


@dataclass(frozen=True)
class Translation:
    """What became of one audio file.

    Attributes:
        file: As it was given.
        text: The translation; None where there is none.
        problem: Why there is none, with the file's name; empty where there is one.
    """

    file: str
    text: str | None = None
    problem: str = ""


class Translator:
    """A trained model that turns audio files into text."""

    def __init__(self, run: TrainedRun) -> None:
        sections = run.experiment.sections
        if run.task.feature is None:
            raise DataError(f"{run.path}: its task {sections.task} does not take audio; name a speech run")
        self.run = run
        self._feature = run.task.feature

    def translate(self, files: Sequence[str | os.PathLike[str]], *, beam_size: int = 0) -> list[Translation]:
        """The translation of each file, in the order given; see ``stream``."""
        return list(self.stream(files, beam_size=beam_size))

    @torch.inference_mode()
    def stream(self, files: Sequence[str | os.PathLike[str]], *, beam_size: int = 0) -> Iterator[Translation]:
        """Yield the translation of each file, one batch after the other.

        A file is held to the rules that rows of a manifest are held to. One that breaks them, or that the model cannot
        take, has a ``problem`` in place of a text and changes nothing for the others.

        Args:
            files: Audio files in any format that soundfile reads.
            beam_size: Beams; 0 means the model's.

        Raises:
            ValueError: ``files`` is one path, or ``beam_size`` is impossible.
        """
        if isinstance(files, (str, bytes, os.PathLike)):
            raise ValueError(f"files must be a list of paths, got {files!r}; write [{files!r}]")
        evaluation = self.run.experiment.sections.evaluation
        generation = evaluation.generation
        if beam_size:
            generation = replace(generation, beam_size=beam_size)
        limits = self.run.task.limits(self.run.model, max_new_tokens=generation.max_new_tokens)
        for start in range(0, len(files), evaluation.batch_size):
            chunk = [self._read(os.fsdecode(file), limits) for file in files[start : start + evaluation.batch_size]]
            translations = iter(self._decode([item for item in chunk if isinstance(item, Example)], generation))
            for item in chunk:
                yield next(translations) if isinstance(item, Example) else item

    def _read(self, file: str, limits: Sequence[Limit]) -> Example | Translation:
        """The file ready to be decoded, or what is wrong with it."""
        config, feature = self.run.experiment.sections.data, self._feature
        try:
            with one_thread():
                wave = read_audio(file, Path(), feature.sample_rate, max_seconds=config.max_seconds)
                seconds = len(wave) / feature.sample_rate
                row = Row(file, file, round(seconds * MANIFEST_SAMPLE_RATE), "")
                findings = duration_findings(seconds, config)
                findings += filter(None, (limit.finding(limit.measure([row], [seconds])[0]) for limit in limits))
                if findings:
                    return Translation(file, problem=f"{file}: {findings[0][1]}")
                return Example(file, feature(wave), [], [], "", "")
        except DataError as error:
            return Translation(file, problem=str(error))
        except ValueError as error:  # of the feature
            return Translation(file, problem=f"{file}: {error}")

    def _decode(self, examples: Sequence[Example], generation: GenerationConfig) -> list[Translation]:
        """One translation per example; those of a batch that the model fails on are decoded one by one."""
        if not examples:
            return []
        batch = collate(examples, self.run.task.tokenizer.pad_id).to(self.run.device)
        try:
            texts = self.run.task.decode(self.run.model, batch, generation)
        except RunError as error:
            if len(examples) == 1:
                return [Translation(examples[0].id, problem=f"{examples[0].id}: {error}")]
            return [self._decode([example], generation)[0] for example in examples]
        return [Translation(example.id, text) for example, text in zip(examples, texts, strict=True)]


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
    files: Sequence[str | os.PathLike[str]],
    *,
    which: str = "best",
    beam_size: int = 0,
    device: str = "",
    base: Mapping[str, Path] | None = None,
    verify: bool = True,
) -> Iterator[Translation]:
    """Open a model and yield the translation of each file; see ``load_model`` and ``Translator.stream``."""
    yield from load_model(run_dir, which, device=device, base=base, verify=verify).stream(files, beam_size=beam_size)
