"""Checks before a model is built: missing files, impossible layers, wrong scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from aista import registry
from aista.data.row_tasks import TASKS
from aista.errors import AistaError, ConfigError, Fault
from aista.run_folder.paths import RunPaths
from aista.schema import Component
from aista.scoring.base import Metric
from aista.scoring.language import UNSPACED, language_of
from aista.scoring.macro_average import metrics_of_directions
from aista.scoring.metric_set import metric_set
from aista.tasks.base import Task
from aista.tasks.data_checks import (
    check_dev_inputs,
    check_dev_words,
    check_durations,
    check_encoder_cache,
    check_positions,
    check_tasks_of_rows,
    missing_files,
)
from aista.tasks.decoding import Decoder
from aista.tasks.experiment import Experiment
from aista.tasks.parts import Pretrained, prepare_part

__all__ = ["build_direction_metrics", "build_metrics", "build_task", "preflight", "task_class"]

T = TypeVar("T")
_ERROR_RATES = (Component("wer"), Component("cer"))


def preflight(experiment: Experiment, *, with_data: bool = True, pretrained: Pretrained = "load") -> Task:
    """Check files, tokenizer, layers and metrics of an experiment and of its pretraining stages.

    Args:
        experiment: The experiment to check.
        with_data: Whether the manifests must exist.
        pretrained: As in ``build_task``; pretrained weights must exist if they are to be loaded.

    Returns:
        The experiment's task, as ``build_task`` builds it.

    Raises:
        ConfigError: every fault found, one line each: files, tokenizer, prompts, layers, metrics, trackers at once.
        DataError: the manifest of dev is malformed, where words are to be compared by their times or a metric needs
            more than texts.
    """
    task, faults = _check(experiment, with_data, pretrained)
    initialize = experiment.sections.initialize
    for stage in experiment.sections.pretraining:
        if getattr(initialize, stage.part) is None:
            _, more = _check(experiment.stage(stage), with_data, pretrained)
            own = (fault for fault in more if fault not in faults)  # inherited faults are reported once
            faults += [Fault(f"pretraining.{stage.name}.{f.path}", f.problem, f.remedy) for f in own]
    if faults or task is None:
        raise ConfigError(list(dict.fromkeys(faults)), experiment.source)
    return task


def build_task(experiment: Experiment, *, pretrained: Pretrained = "load") -> Task:
    """The experiment's task with its tokenizer and feature; builds no model yet.

    Args:
        experiment: The experiment to build.
        pretrained: How the task's model treats pretrained weights; see ``Task``.

    Raises:
        DataError: the tokenizer cannot be loaded.
        ConfigError: the prompt or another option is impossible.
    """
    tokenizer = registry.build("tokenizer", experiment.sections.tokenizer, at="tokenizer")
    feature = _feature(experiment) if task_class(experiment).uses_audio else None
    return _assemble(experiment, tokenizer, feature, pretrained)


def _feature(experiment: Experiment) -> Any:
    return registry.build("feature", experiment.sections.data.feature, at="data.feature")


def _assemble(experiment: Experiment, tokenizer: Any, feature: Any, pretrained: Pretrained) -> Task:
    cls = task_class(experiment)
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
    """Build the configured metrics, or the task's default ones, for the language of its output.

    Args:
        experiment: Its evaluation section names them.
        others: Metrics that replace these.
        row_task: Scored task among ``data.tasks``; empty: the first. If only one of the two writes transcripts, the
            configured metrics do not apply.
        language: Language of the texts, in place of the config's.

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
    """As ``build_metrics``, for a test set: where it has several directions, metrics are means over them.

    Args:
        experiment: Names the metrics.
        row_task: Scored task among ``data.tasks``.
        languages: Direction -> target language; a language that is empty is the config's.
        others: Metrics that replace the configured ones.
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
    """The task if it can be built, and all faults that can be found; a fault may hide others."""
    sections, cls = experiment.sections, task_class(experiment)
    faults = (missing_files(experiment, with_audio=cls.uses_audio) if with_data else []) + _initial_runs(experiment)
    tokenizer = _attempt(lambda: registry.build("tokenizer", sections.tokenizer, at="tokenizer"), "tokenizer", faults)
    feature = _attempt(lambda: _feature(experiment), "data.feature", faults) if cls.uses_audio else None
    metrics = _attempt(lambda: build_metrics(experiment), "evaluation.metrics", faults)
    if metrics is not None:
        faults += _score(experiment, metrics)
    faults += _trackers(experiment) + cls.check_options(experiment.task_config, sections)
    if tokenizer is None or (cls.uses_audio and feature is None):
        return None, faults
    task = _attempt(lambda: _assemble(experiment, tokenizer, feature, pretrained), "", faults)
    if task is None:
        return None, faults
    if pretrained == "load":
        _attempt(lambda: _outlines(task), "llm", faults)
    _attempt(lambda: Decoder(experiment, task), "evaluation.generation", faults)
    for check in (check_tasks_of_rows, check_durations, check_encoder_cache, check_positions):
        faults += check(experiment, task)
    faults += task.check(sections)
    if with_data and not faults and sections.data.dev is not None:
        faults += check_dev_words(sections.data.dev) if task.probes_words else []
        faults += check_dev_inputs(sections.data.dev, metrics or ())
    return task, faults


def _attempt(make: Callable[[], T], at: str, faults: list[Fault]) -> T | None:
    """The result of ``make``, or None with its faults added to ``faults``; those without a place are at ``at``."""
    try:
        return make()
    except ConfigError as error:
        faults += error.faults
    except AistaError as error:
        faults.append(Fault(at, str(error)))
    return None


def _initial_runs(experiment: Experiment) -> list[Fault]:
    return [
        Fault(
            f"initialize.{part}",
            f"no trained run folder at {str(folder)!r}",
            f"train it first with `aista train {folder} --config ...`",
        )
        for part, folder in experiment.sections.initialize.given().items()
        if not RunPaths(folder).checkpoints_dir.is_dir()
    ]


def _score(experiment: Experiment, metrics: Sequence[Metric]) -> list[Fault]:
    names = ["nll", "loss", *(metric.name for metric in metrics)]
    score = experiment.sections.evaluation.score
    return [] if score in names else [Fault("evaluation.score", f"must be one of {', '.join(names)}, got {score!r}")]


def _trackers(experiment: Experiment) -> list[Fault]:
    """Find experiment trackers that cannot work on this machine, such as for a missing package or key."""
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
    """Build parts that need no weights, and prepare them for their tuning."""
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
