"""Translates recordings without a manifest: files, arrays, and segments of long ones."""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from aista.data.data_config import DataConfig
from aista.data.examples import Example, PromptPair, collate
from aista.data.manifest_rows import Row, Rows
from aista.data.recorded import Recorded, Waveform
from aista.data.row_tasks import is_text_row
from aista.data.segmenters.base import Segmenter
from aista.engine.inference.pieces import Piece, PieceReader
from aista.engine.inference.task_scores import choose_row_task
from aista.engine.inference.trained_run import TrainedRun, open_run
from aista.errors import AistaError, DataError, RunError
from aista.run_folder.contents import RunFolder
from aista.run_folder.paths import RunPaths
from aista.scoring.candidates import Candidate
from aista.tasks.decoding import Decoded, Decoder

__all__ = ["USUAL", "Translation", "Translator", "Wanted", "prompt_for", "translate"]

log = logging.getLogger("aista.translate")

_WINDOW = 4  # batches that are read ahead, so that each can hold pieces of similar length
_HELD = 2**26  # bytes of features that are read ahead at most
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Translation:
    """Result for one audio file, or for one segment of it.

    Attributes:
        file: The path as given; for a recording in memory, its name.
        text: The translation; None where there is none.
        n_best: Hypotheses of the search, best first; None where not asked for.
        problem: Why there is no translation, with the file's name; empty where there is one.
        start: Start in the recording, in seconds.
        end: End in the recording, in seconds; 0 where the recording cannot be read.
        is_last: Whether it is the last segment of the recording.
    """

    file: str
    text: str | None = None
    problem: str = ""
    start: float = 0.0
    end: float = 0.0
    is_last: bool = True
    n_best: tuple[Candidate, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Requested task and languages, for models with several; empty: the first task and the config's languages."""

    task: str = ""
    source_language: str = ""
    target_language: str = ""


USUAL = Wanted()
"""The default request: the first task, and the config's languages."""


class Translator:
    """A trained model that turns recordings into text."""

    def __init__(self, run: TrainedRun) -> None:
        sections = run.experiment.sections
        if run.task.feature is None:
            raise DataError(f"{run.path}: its task {sections.task} takes no audio; name a run of a speech task")
        self.run = run
        self._feature = run.task.feature

    @torch.inference_mode()
    def stream(
        self,
        files: Sequence[str | os.PathLike[str] | Waveform],
        *,
        segmenter: Segmenter | None = None,
        n_best: int = 0,
        wanted: Wanted = USUAL,
        progress: Progress | None = None,
        **search: Any,
    ) -> Iterator[Translation]:
        """Yield the translation of each file, or of each segment of each file, in order.

        Files and segments are checked by the same rules as rows of a manifest. One that violates them, or exceeds the
        model's limits, has a ``problem`` in place of a text and does not affect the others. A recording of any length
        is read twice, first to find its segments; a few batches of it are in memory at a time.

        Args:
            files: Audio files in any format that soundfile reads, and recordings in memory.
            segmenter: Cuts recordings into segments; None translates each file as a whole.
            n_best: Number of the search's hypotheses to return beside each translation.
            wanted: Task and languages, for a model with several.
            progress: Called with a stage, how much of it is done, and how much there is; 0 where that is unknown.
            search: Options of ``GenerationConfig`` in place of the model's: ``beam_size``, ``length_penalty``.

        Raises:
            AistaError: the search cannot give ``n_best`` hypotheses, or the model does not support task or languages.
            ValueError: an option of the search is out of bounds.
        """
        sections = self.run.experiment.sections
        generation, batch_size = replace(sections.evaluation.generation, **search), sections.evaluation.batch_size
        decoder = Decoder(self.run.experiment, self.run.task, generation, language=wanted.target_language)
        if n_best:
            decoder.require_n_best(n_best)
        prompt = prompt_for(self.run, wanted)
        limits = self.run.task.limits(self.run.model, max_new_tokens=generation.max_new_tokens)
        work = _Work([file if isinstance(file, Waveform) else os.fsdecode(file) for file in files], progress)
        reader = PieceReader(sections.data, self._feature, limits, segmenter, work.searched)
        pieces = itertools.chain.from_iterable(map(reader.pieces, work.files))
        num_decoded = num_guarded = 0
        for window in _windows(pieces, _WINDOW * batch_size):
            found = self._translate(window, batch_size, decoder, prompt)
            num_decoded += len(found)
            num_guarded += sum(item.guarded for item in found.values() if isinstance(item, Decoded))
            for index, piece in enumerate(window):
                yield _translation(piece, found.get(index, Decoded("")), n_best)
            work.translated(window)
        if generation.no_repeat_ngram:
            log.info("no_repeat_ngram changed the search of %d of %d utterances", num_guarded, num_decoded)

    def _translate(
        self, window: Sequence[Piece], batch_size: int, decoder: Decoder, prompt: PromptPair | None
    ) -> dict[int, Decoded | RunError]:
        """Results of the pieces to decode, by index; the longest are decoded first."""
        found: dict[int, Decoded | RunError] = {}
        filled = ((index, piece.example) for index, piece in enumerate(window))
        order = [(index, replace(example, prompt=prompt)) for index, example in filled if example is not None]
        order.sort(key=lambda item: -len(item[1].audio))
        for start in range(0, len(order), batch_size):
            indices, examples = zip(*order[start : start + batch_size], strict=True)
            found.update(zip(indices, self._decode(examples, decoder), strict=True))
        return found

    def _decode(self, examples: Sequence[Example], decoder: Decoder) -> list[Decoded | RunError]:
        """A translation per example, or the model's error on it; a failing batch is decoded one by one."""
        batch = collate(examples, self.run.task.tokenizer.pad_id).to(self.run.device)
        try:
            return [*decoder.decode(self.run.model, batch)]
        except RunError as error:
            if len(examples) == 1:
                return [error]
            return [self._decode([example], decoder)[0] for example in examples]


def prompt_for(run: TrainedRun, wanted: Wanted) -> PromptPair | None:
    """The prompt of recordings, for a model with several; None for the model's own.

    Raises:
        AistaError: the model does not support task or languages, or needs a language that is not given.
    """
    experiment, prompts = run.experiment, run.task.prompts
    task = choose_row_task(experiment, wanted.task, from_text=False)
    if is_text_row(task):
        raise AistaError(f"--task: {task} reads texts, and these are recordings; name another of the run's tasks")
    data = experiment.sections.data
    _require_followed(wanted, data, lambda side: prompts is not None and prompts.names(task, side))
    warn_of_new_language(run.path, wanted.target_language)
    if prompts is None or not prompts.vary:
        return None
    row = Row("", "", 0, "", src_lang=wanted.source_language, tgt_lang=wanted.target_language, task=task)
    try:
        prompts.learn(Rows.of([row]), data.source_language, data.target_language)
    except DataError as error:
        remedy = "recordings name no language: give --source-language and --target-language"
        raise DataError(f"{run.path}: {error}; {remedy}") from error
    return prompts.of_row(row, 0)


class _Work:
    """Progress over all recordings by file size, as durations are known only after decoding."""

    def __init__(self, files: Sequence[Recorded], progress: Progress | None) -> None:
        self.files = files
        self._progress = progress or (lambda stage, done, total: None)
        self._sizes = [_size(file) for file in files]
        self._finished = 0

    def searched(self, seconds: float) -> None:
        """Report the fraction of the next recording that has been searched for segments."""
        self._progress("seconds searched for segments", int(seconds), 0)

    def translated(self, window: Sequence[Piece]) -> None:
        """Report that these pieces, the next ones in order, are translated."""
        self._finished += sum(piece.share == 1 for piece in window)
        done = sum(self._sizes[: self._finished])
        if window[-1].share < 1:
            done += int(window[-1].share * self._sizes[self._finished])
        self._progress("translating", done, sum(self._sizes))


def _require_followed(wanted: Wanted, data: DataConfig, named: Callable[[str], bool]) -> None:
    """Raise AistaError where a requested language is not in the prompt, so that it would have no effect."""
    for name, side, asked, usual in (
        ("source", "src", wanted.source_language, data.source_language),
        ("target", "tgt", wanted.target_language, data.target_language),
    ):
        if asked.casefold() not in ("", usual.casefold()) and not named(side):
            raise AistaError(
                f"--{name}-language: the prompt of this task does not hold {{{side}_lang}}, so the model cannot follow "
                f"it, got {asked!r}; leave it out, or name a task whose prompt does"
            )


def warn_of_new_language(path: Path, asked: str) -> None:
    """Warn where a run was trained on translations, but on none into the requested language."""
    known = RunFolder(path).target_languages() if RunPaths(path).is_run else ()
    if asked and known and _primary(asked) not in map(_primary, known):
        log.warning(
            "--target-language %s: no row that this model was trained on is in it, but in %s; what it writes may be in "
            "one of these",
            asked,
            ", ".join(known),
        )


def _primary(code: str) -> str:
    """``pt`` of pt-BR."""
    return code.casefold().replace("_", "-").partition("-")[0]


def _size(file: Recorded) -> int:
    if isinstance(file, Waveform):
        return file.samples_W.nbytes
    try:
        return max(1, os.stat(file).st_size)
    except (OSError, ValueError):  # which is said where it is read
        return 1


def _windows(pieces: Iterable[Piece], count: int) -> Iterator[list[Piece]]:
    """Successive pieces, at most ``count`` of them and some 64 MiB."""
    window: list[Piece] = []
    held = 0
    for piece in pieces:
        window.append(piece)
        held += 0 if piece.example is None else piece.example.audio.nbytes
        if len(window) == count or held >= _HELD:
            yield window
            window, held = [], 0
    if window:
        yield window


def _translation(piece: Piece, found: Decoded | RunError, n_best: int) -> Translation:
    problem, text, candidates = piece.problem, None, None
    if isinstance(found, RunError):
        assert piece.example is not None
        problem = f"{piece.example.id}: {found}"
    elif not problem:
        text, candidates = found.text, found.candidates[:n_best] if n_best else None
    return Translation(piece.file, text, problem, piece.segment.start, piece.segment.end, piece.share == 1, candidates)


def translate(
    run_dir: Path,
    files: Sequence[str | os.PathLike[str]],
    *,
    which: str = "best",
    search: Mapping[str, Any] | None = None,
    device: str = "",
    base: Mapping[str, Path] | None = None,
    verify: bool = True,
    segmenter: Segmenter | None = None,
    n_best: int = 0,
    wanted: Wanted = USUAL,
    progress: Progress | None = None,
) -> Iterator[Translation]:
    """Open a model and yield the translation of each file; see ``open_run`` and ``Translator.stream``."""
    model = Translator(open_run(run_dir, which, device=device, base=base, verify=verify))
    yield from model.stream(
        files, segmenter=segmenter, n_best=n_best, wanted=wanted, progress=progress, **(search or {})
    )
