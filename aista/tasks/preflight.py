"""Checks before a model is built: missing files, impossible layers, wrong scores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from aista import registry
from aista.data.manifest import read_manifest
from aista.data.row_tasks import TASKS
from aista.errors import AistaError, ConfigError, DataError, Fault
from aista.run_folder.paths import RunPaths
from aista.schema import Component
from aista.scoring.base import Metric
from aista.scoring.language import UNSPACED, language_of
from aista.scoring.macro_average import metrics_of_directions
from aista.scoring.metric_set import metric_set
from aista.tasks.base import Task
from aista.tasks.decoding import Decoder
from aista.tasks.experiment import Experiment
from aista.tasks.parts import Pretrained, prepare_part

__all__ = ["FREEZE_ENCODER", "build_direction_metrics", "build_metrics", "build_task", "preflight", "task_class"]

_ERROR_RATES = (Component("wer"), Component("cer"))
FREEZE_ENCODER = "set encoder.tuning: frozen, or remove data.encoder_cache"


def preflight(experiment: Experiment, *, with_data: bool = True, pretrained: Pretrained = "load") -> Task:
    """Check files, tokenizer, layers and metrics of an experiment and of its pretraining stages.

    Args:
        experiment: What to check.
        with_data: Whether the manifests must be there.
        pretrained: As in ``build_task``; pretrained weights must be there if they are to be loaded.

    Returns:
        The experiment's task, as ``build_task`` builds it.

    Raises:
        ConfigError: every fault found, one line each.
        DataError: the manifest of dev is malformed, where words are to be compared by their times or a metric needs
            more than texts.
    """
    task, faults = _check(experiment, with_data, pretrained)
    initialize = experiment.sections.initialize
    for stage in experiment.sections.pretraining:
        if getattr(initialize, stage.part) is None:
            _, more = _check(experiment.stage(stage), with_data, pretrained)
            faults += [Fault(f"pretraining.{stage.name}.{f.path}", f.problem, f.remedy) for f in more]
    if faults or task is None:
        raise ConfigError(list(dict.fromkeys(faults)), experiment.source)
    return task


def build_task(experiment: Experiment, *, pretrained: Pretrained = "load") -> Task:
    """The experiment's task with its tokenizer and feature; builds no model yet.

    Args:
        experiment: What to build.
        pretrained: What the task's model does about pretrained weights; see ``Task``.

    Raises:
        DataError: the tokenizer cannot be loaded.
        ConfigError: the prompt or another option is impossible.
    """
    sections = experiment.sections
    tokenizer = registry.build("tokenizer", sections.tokenizer, at="tokenizer")
    cls, feature = task_class(experiment), None
    if cls.uses_audio:
        feature = registry.build("feature", sections.data.feature, at="data.feature")
    dependencies = registry.named_by(cls, {"tokenizer": tokenizer, "feature": feature})
    try:
        task = cls(experiment.task_config, **dependencies)  # its options stand at the top level of the config
    except ValueError as error:
        raise ConfigError([Fault("", str(error))]) from error
    task.pretrained = pretrained
    return task


def build_metrics(
    experiment: Experiment, others: Sequence[Component] = (), *, row_task: str = "", language: str = ""
) -> list[Metric]:
    """The configured metrics, or the task's usual ones, for the language of what the task produces; or ``others``.

    Args:
        experiment: Its evaluation section names them.
        others: In place of those.
        row_task: Which of ``data.tasks`` is scored; empty: the first. Where it writes transcripts and the first does
            not, or the other way round, the configured metrics are not its.
        language: Of the texts, in place of the config's.

    Raises:
        ConfigError: a metric cannot be built.
    """
    data, task = experiment.sections.data, task_class(experiment)
    first = next(iter(data.tasks), "")
    writes_source = _writes_source(task, row_task or first)
    language = language or (data.source_language if writes_source else data.target_language)
    configured = experiment.sections.evaluation.metrics if writes_source == _writes_source(task, first) else ()
    usual = _ERROR_RATES if writes_source and task.scores_translations else task.default_metrics
    specs = others or configured or usual
    if specs is _ERROR_RATES and language_of(language) in UNSPACED:
        specs = _ERROR_RATES[1:]
    at = "--metric" if others else "evaluation.metrics"
    return metric_set(specs, at=at, target_language=language)


def build_direction_metrics(
    experiment: Experiment, row_task: str, languages: Mapping[str, str], others: Sequence[Component] = ()
) -> list[Metric]:
    """The metrics of a test set, which are means over its directions where there are several; as ``build_metrics``.

    Args:
        experiment: Names the metrics.
        row_task: Which of ``data.tasks`` is scored.
        languages: Direction -> target language; a language that is empty is the config's.
        others: In place of the configured metrics.
    """
    return metrics_of_directions(
        languages, lambda language: build_metrics(experiment, others, row_task=row_task, language=language)
    )


def _writes_source(task: type[Task], row_task: str) -> bool:
    """Whether hypotheses are transcripts."""
    return not task.scores_translations or (row_task != "" and TASKS[row_task].target == "src_text")


def task_class(experiment: Experiment) -> type[Task]:
    """The registered class of the experiment's task."""
    factory = registry.get("task", experiment.sections.task).factory
    assert isinstance(factory, type)
    assert issubclass(factory, Task)
    return factory


def _check(experiment: Experiment, with_data: bool, pretrained: Pretrained) -> tuple[Task | None, list[Fault]]:
    """The task if it can be built, and all faults."""
    faults = _files(experiment) if with_data else []
    for part in ("encoder", "adapter", "llm"):
        folder = getattr(experiment.sections.initialize, part)
        if folder is not None and not RunPaths(folder).checkpoints_dir.is_dir():
            remedy = f"train it first with `aista train {folder} --config ...`"
            faults.append(Fault(f"initialize.{part}", f"no trained run folder at {str(folder)!r}", remedy))
    if faults:
        return None, faults
    try:
        task = build_task(experiment, pretrained=pretrained)
        if pretrained == "load":
            _outlines(task)
        metrics = build_metrics(experiment)
        Decoder(experiment, task)
    except ConfigError as error:
        return None, list(error.faults)
    except (DataError, AistaError) as error:
        return None, [Fault("tokenizer", str(error))]
    names = ["nll", "loss", *(metric.name for metric in metrics)]
    score = experiment.sections.evaluation.score
    if score not in names:
        faults.append(Fault("evaluation.score", f"must be one of {', '.join(names)}, got {score!r}"))
    faults += (
        _row_tasks(experiment, task)
        + _trackers(experiment)
        + _durations(experiment, task)
        + _encoder_cache(experiment, task)
        + _positions(experiment, task)
    )
    faults += task.check(experiment.sections)
    dev = experiment.sections.data.dev
    if with_data and not faults and dev is not None:
        faults += _dev_words(dev) if task.probes_words else []
        faults += _dev_inputs(dev, metrics)
    return task, faults


def _trackers(experiment: Experiment) -> list[Fault]:
    """Experiment trackers that cannot work on this machine: a missing package or key shows before training."""
    faults = []
    for index, spec in enumerate(experiment.sections.trainer.tracking):
        at = f"trainer.tracking[{index}]"
        try:
            registry.build("tracker", spec, at=at).check()
        except ConfigError as error:
            faults += error.faults
        except AistaError as error:
            faults.append(Fault(at, f"{spec.name}: {error}"))
    return faults


def _outlines(task: Task) -> None:
    """Build what can be built without its weights, and prepare it for its tuning."""
    spec = getattr(task.config, "llm", None)
    outline = getattr(getattr(spec, "config", None), "outline", None)
    if outline is None:
        return
    try:
        part = outline(vocab_size=task.tokenizer.vocab_size)
    except ValueError as error:
        raise ConfigError([Fault("llm.config", str(error))]) from error
    if "llm" in task.tunings:
        prepare_part("llm", part, task.tunings["llm"])


def _files(experiment: Experiment) -> list[Fault]:
    data = experiment.sections.data
    named: list[tuple[str, Path | None]] = [("train", data.train), ("dev", data.dev), ("test", data.test)]
    for name, paths in (("speech", data.speech), ("text", data.text)):
        named += [(f"{name}[{index}]", path) for index, path in enumerate(paths)]
    faults = [
        Fault(f"data.{name}", f"no such file: {str(path)!r}", "prepare it with `aista data` or correct the path")
        for name, path in named
        if path is not None and not path.is_file()
    ]
    if data.stream is not None:
        faults += _shards(data.stream, with_audio=task_class(experiment).uses_audio)
    elif data.train is None:
        faults.append(Fault("data.train", "is required", "name a manifest to train on, or shards in data.stream"))
    return faults


def _shards(spec: Component, *, with_audio: bool) -> list[Fault]:
    """What is wrong with a stream as far as the names and ends of its files tell."""
    try:
        registry.build("stream", spec, at="data.stream").shards(with_audio=with_audio)
    except ConfigError as error:
        return list(error.faults)
    except DataError as error:
        return [Fault("data.stream", str(error))]
    return []


def _dev_words(dev: Path) -> list[Fault]:
    """What is wrong with a dev set whose words a layer selection compares by their times."""
    rows = read_manifest(dev).rows
    if (rows.is_filled("src_text") & rows.is_filled("word_times")).any():
        return []
    problem = f"compares words by their times, which no row of {dev} has"
    return [Fault("layer_selection", problem, "fill word_times (docs/word_times.md), or choose token_retrieval")]


def _dev_inputs(dev: Path, metrics: Sequence[Metric]) -> list[Fault]:
    """What the metrics of validation need and its rows will not have, found before training rather than in it."""
    faults = []
    for metric in (metric for metric in metrics if metric.needs):
        if "audio" in metric.needs:
            problem = f"{metric.name} needs the audio of utterances, which validation does not give to metrics"
            faults.append(Fault("evaluation.metrics", problem, "leave it to `aista evaluate --metric`"))
        rows = read_manifest(dev).rows
        lacking = int((rows.is_filled("tgt_text") & ~rows.is_filled("src_text")).sum())
        if "source" in metric.needs and lacking:
            problem = (
                f"{metric.name} needs the transcript of each utterance, and {lacking} of {len(rows)} in {dev} lack it"
            )
            faults.append(Fault("evaluation.metrics", problem, "fill src_text, or choose other metrics"))
    return faults


def _row_tasks(experiment: Experiment, task: Task) -> list[Fault]:
    if not experiment.sections.data.tasks or task.row_tasks:
        return []
    problem = f"the task {experiment.sections.task!r} trains on all rows alike"
    return [Fault("data.tasks", problem, "remove it, or set task: speech_translation")]


def _durations(experiment: Experiment, task: Task) -> list[Fault]:
    data, longest = experiment.sections.data, math.inf if task.feature is None else task.feature.max_seconds
    if data.max_seconds <= longest:
        return []
    problem = f"must be at most {longest:g}, what the feature {data.feature.name!r} takes, got {data.max_seconds:g}"
    return [Fault("data.max_seconds", problem)]


def _positions(experiment: Experiment, task: Task) -> list[Fault]:
    maximum = experiment.sections.data.max_batch_positions
    if not maximum or type(task).positions is not Task.positions:
        return []
    task_name = experiment.sections.task
    problem = f"counts positions of a language model, and the task {task_name!r} has none, got {maximum}"
    return [Fault("data.max_batch_positions", problem, "remove it, or limit data.max_batch_seconds")]


def _encoder_cache(experiment: Experiment, task: Task) -> list[Fault]:
    """Encoder states that nothing would read, or that training changes; see ``aista.engine.encoder_cache``."""
    sections, config = experiment.sections, experiment.task_config
    if sections.data.encoder_cache is None:
        return []
    at = "data.encoder_cache"
    if not task.takes_states:
        return [Fault(at, f"the task {sections.task!r} reads no encoder states", "remove it")]
    tuning = config.encoder.tuning
    if tuning is None and not config.freeze_params:
        return [Fault(at, "needs a frozen encoder, but all of it is trained", FREEZE_ENCODER)]
    if tuning is not None and tuning.name != "frozen":
        return [Fault(at, f"needs a frozen encoder, got encoder.tuning {tuning.name!r}", FREEZE_ENCODER)]
    return []
