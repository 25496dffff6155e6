"""aista from Python: open a trained model and use it, or train an experiment. ``import aista`` offers these names.

Each method does what the command of the same name does.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn
from typing_extensions import override

from aista.config import dump_yaml
from aista.data.recorded import Recorded, Waveform
from aista.data.segmenters.base import Segmenter
from aista.engine.claim import holds
from aista.engine.export.load import load_plugins_for
from aista.engine.inference.evaluate import evaluate
from aista.engine.inference.layer_states import UtteranceStates, layer_states
from aista.engine.inference.probe import measure_layers
from aista.engine.inference.trained_run import TrainedRun, open_run
from aista.engine.inference.translate import Translation, Translator, Wanted
from aista.engine.training.train import train
from aista.errors import AistaError, DataError, shown
from aista.run_folder.evaluations import Evaluation
from aista.selection.curve import ProbeCurve
from aista.shipped import find_config
from aista.tasks import experiment as configs

__all__ = ["Experiment", "Model", "load"]

StrPath = str | os.PathLike[str]


def load(
    folder: StrPath,
    checkpoint: str | int = "best",
    *,
    device: str = "",
    base: Mapping[str, StrPath] | None = None,
    plugins: Sequence[StrPath] = (),
    verify: bool = True,
) -> Model:
    """Open a trained run or an exported folder; no code in it is run except the plug-ins that you name.

    Args:
        folder: A folder written by ``aista train`` or ``aista export``.
        checkpoint: ``best``, ``last`` or a step number.
        device: ``cpu``, ``cuda`` or ``cuda:N``; empty means the GPU if there is one.
        base: Part (encoder, llm) -> folder of its base weights, for an export that holds only the trainable weights.
        plugins: Python files with components of your own, such as those that an exported folder holds.
        verify: Compare the weights with their checksums first, about a second per GB.

    Raises:
        AistaError: the folder is neither a run nor an export, or damaged; there is no such checkpoint or device.
    """
    load_plugins_for(Path(folder), [Path(file) for file in plugins], verify=verify)
    paths = {part: Path(path) for part, path in (base or {}).items()}
    return Model(open_run(Path(folder), str(checkpoint), device=device, base=paths, verify=verify))


class Model:
    """A trained model; ``aista.load`` opens one.

    Attributes:
        run: Its experiment, task, checkpoint and device.
    """

    def __init__(self, run: TrainedRun) -> None:
        self.run = run

    @override
    def __repr__(self) -> str:
        return f"<aista.Model {self.run.path}, {self.run.checkpoint.name}, on {self.run.device}>"

    @property
    def module(self) -> nn.Module:
        """The model itself, in eval mode on its device."""
        return self.run.model

    def translate(
        self,
        audio: object,
        sample_rate: int | None = None,
        *,
        n_best: int = 0,
        task: str = "",
        source_language: str = "",
        target_language: str = "",
        **search: Any,
    ) -> Translation:
        """Translate one recording uncut, as ``aista translate`` does; use ``stream`` for many recordings or long ones.

        Args:
            audio: Path of a file, or ``[W]`` floating-point samples of one channel, in [-1, 1]: an array or a tensor.
            sample_rate: Sample rate of an array, in Hz; any rate, as samples are resampled.
            n_best: Number of the search's hypotheses to return, too.
            task: Task of the run, among its ``data.tasks``; empty means the first.
            source_language: Language of the speech, for prompts that name it; empty means the config's.
            target_language: Language of the translation, likewise.
            search: Search options that replace the run's: ``beam_size=4``, ``length_penalty=1.2``.

        Raises:
            DataError: the recording cannot be read, has several channels or no sample rate, or is longer than the model
                takes.
            AistaError: the model does not translate speech, or does not support one of the arguments.
        """
        wanted = Wanted(task=task, source_language=source_language, target_language=target_language)
        recorded = _recorded(audio, sample_rate)
        (found,) = Translator(self.run).stream([recorded], n_best=n_best, wanted=wanted, **search)
        if found.problem:
            raise DataError(found.problem)
        return found

    def stream(
        self,
        recordings: Iterable[StrPath | Waveform],
        *,
        segmenter: Segmenter | None = None,
        n_best: int = 0,
        task: str = "",
        source_language: str = "",
        target_language: str = "",
        **search: Any,
    ) -> Iterator[Translation]:
        """Translate recordings, batched by length, and yield a result for each of them, or of its segments, in order.

        One that cannot be translated has a ``problem`` in place of a ``text`` and does not stop the others.

        Args:
            recordings: Paths, and samples in memory as ``aista.Waveform(samples, sample_rate)``.
            segmenter: Cuts recordings that are longer than the model takes, e.g. ``Vad(max_seconds=12)`` of
                ``aista.data.segmenters.vad``.
            n_best: As in ``translate``; so are the other arguments.
            task: Task of the run, among its ``data.tasks``.
            source_language: Language of the speech.
            target_language: Language of the translation.
            search: Search options.

        Raises:
            AistaError: the model does not translate speech, or does not support one of the arguments.
        """
        if isinstance(recordings, (str, bytes, os.PathLike, Waveform)):
            raise AistaError(f"recordings: must be a list, got {recordings!r}; write [{recordings!r}]")
        wanted = Wanted(task=task, source_language=source_language, target_language=target_language)
        return Translator(self.run).stream(
            list(recordings), segmenter=segmenter, n_best=n_best, wanted=wanted, **search
        )

    def states(
        self,
        audio: object,
        transcript: str,
        layers: Sequence[int] | None = None,
        *,
        sample_rate: int | None = None,
        task: str = "",
        source_language: str = "",
        target_language: str = "",
    ) -> UtteranceStates:
        """Compute the language model's hidden states of the speech and of the transcript of one utterance.

        Args:
            audio: As in ``translate``.
            transcript: The words spoken.
            layers: Numbers of layers, 0 (the input of the first block) to N (the output of the last); None means all.
            sample_rate: Sample rate of an array, in Hz.
            task: Task that gives the prompt, among the run's ``data.tasks``; empty means the first.
            source_language: Language of the speech, for prompts that name it; empty means the config's.
            target_language: Language of the translation, likewise.

        Returns:
            ``speech`` ``[L, P, D]`` at P speech positions and ``text`` ``[L, T, D]`` at T tokens, of L layers.

        Raises:
            DataError: as for ``translate``.
            AistaError: no such layer, an empty transcript, or a model without states of both.
        """
        wanted = Wanted(task=task, source_language=source_language, target_language=target_language)
        return layer_states(self.run, _recorded(audio, sample_rate), transcript, layers, wanted)

    def probe(
        self, split: str = "dev", *, size: int = 500, resamples: int = 1000, gradients: bool = False
    ) -> ProbeCurve:
        """Compute cross-modal retrieval and the other measures of each layer, as ``aista probe`` does; writes no file.

        ``curve.values("mrr")`` is layer -> MRR of both directions, ``curve.chance`` the MRR of a random ranking.

        Args:
            split: ``dev``, ``test``, or the path of a manifest; rows without a transcript are left out.
            size: Maximum number of utterances; each is a query and a candidate.
            resamples: Bootstrap resamples of the intervals; 0: no intervals.
            gradients: Also compare each layer's gradients of transport and of cross-entropy.

        Raises:
            AistaError: the model has no states of both, or the split cannot be read.
        """
        return measure_layers(self.run, split, size=size, resamples=resamples, gradients=gradients)


class Experiment:
    """An experiment to train: a config with every option; ``from_yaml`` reads one."""

    def __init__(self, config: configs.Experiment) -> None:
        self.config = config

    @override
    def __repr__(self) -> str:
        return f"<aista.Experiment {self.config.source}>"

    @classmethod
    def from_yaml(cls, config: StrPath, *overrides: str) -> Experiment:
        """Read a config; relative paths in it start from the current folder.

        Args:
            config: A file, or the name of a shipped config (``aista configs`` lists them).
            overrides: ``"key=value"`` as on the command line: ``"trainer.max_steps=500"``.

        Raises:
            ConfigError: all faults at once, with paths and remedies.
        """
        return cls(configs.load_experiment(find_config(os.fspath(config)), overrides))

    def to_yaml(self) -> str:
        """The config with all defaults and overrides; ``from_yaml`` reads it back."""
        return dump_yaml(self.config.to_plain())

    def train(self, folder: StrPath, *, stage: str = "", verify: bool = True) -> Path:
        """Train in a run folder, or resume a run that stopped there; a complete run is left as it is.

        Args:
            folder: The run folder.
            stage: Train this pretraining stage alone.
            verify: Compare checkpoints with their checksums before going on from them.

        Returns:
            The folder, for ``aista.load``.

        Raises:
            AistaError: something in the config or the data is wrong, the folder holds another experiment, or training
                failed.
        """
        train(self.config, Path(folder), stage=stage, verify=verify)
        return Path(folder)

    def evaluate(
        self,
        folder: StrPath,
        split: str = "test",
        *,
        checkpoint: str | int = "best",
        device: str = "",
        verify: bool = True,
        **search: Any,
    ) -> Evaluation:
        """Translate a split with the trained model, score it, and write translations and scores into the run folder.

        Args:
            folder: The run folder that ``train`` wrote.
            split: ``dev``, ``test``, or the path of a manifest.
            checkpoint: ``best``, ``last`` or a step number.
            device: As in ``aista.load``.
            verify: Compare the weights with their checksums first.
            search: Search options that replace the config's.

        Returns:
            ``scores`` with signatures, and ``rows`` with sources, references and hypotheses.

        Raises:
            AistaError: the folder holds another experiment, or no checkpoint yet, or the split has faults.
        """
        holds(Path(folder), self.config)
        return evaluate(Path(folder), split, which=str(checkpoint), device=device, verify=verify, search=search)


def _recorded(audio: object, sample_rate: int | None) -> Recorded:
    if isinstance(audio, (list, tuple)) and any(isinstance(item, (str, os.PathLike)) for item in audio):
        raise AistaError(f"audio: must be one recording, got {shown(audio)}; Model.stream takes several")
    if not isinstance(audio, (str, os.PathLike)):
        return audio if isinstance(audio, Waveform) and sample_rate is None else Waveform(audio, sample_rate)
    if sample_rate is not None:
        raise DataError(
            f"{os.fspath(audio)}: the file states its own sample rate; leave out sample_rate={shown(sample_rate)}"
        )
    return os.fsdecode(audio)
