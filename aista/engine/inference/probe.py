"""Probes checkpoints: measures of each layer's states, and one utterance's transport plan."""

from __future__ import annotations

import glob
import logging
from pathlib import Path

from aista.engine.checkpoints import checkpoint_steps, load_weights
from aista.engine.encoder_cache.cached_encoder import with_encoder_states
from aista.engine.inference.trained_run import TrainedRun, open_run
from aista.engine.inference.transport_plans import plan_of, shown_layer, with_states
from aista.engine.inputs import Split, probe_batches, probe_split
from aista.engine.training.layer_chooser import probe_model
from aista.errors import AistaError, DataError, RunError
from aista.files import remove_leftovers, require_writable
from aista.locks import locked
from aista.modules.lsm import LargeSpeechTextModel
from aista.run_folder.paths import PLAN, RunPaths, split_label
from aista.run_folder.probes import Plan, Probe
from aista.run_folder.sources import Source
from aista.selection.curve import ProbeCurve
from aista.selection.gradient_measure import GradientAgreement
from aista.selection.item_retrieval import TokenRetrieval, WordRetrieval
from aista.selection.pair_transport import PairTransport, TransportConfig
from aista.selection.path_measures import AlignmentPath
from aista.selection.retrieval_probe import RetrievalProbe
from aista.tasks.speech_translation import SpeechTranslationTask
from aista.types import SpeechBatch

__all__ = ["measure_layers", "probe", "probe_checkpoints", "probe_name"]

log = logging.getLogger("aista.probe")


def probe(
    run_dir: Path,
    split: str = "dev",
    *,
    which: str = "best",
    size: int = 500,
    name: str = "",
    utterance: str = "",
    device: str = "",
    resamples: int = 1000,
    gradients: bool = False,
    verify: bool = True,
) -> tuple[str, ProbeCurve]:
    """Probe a run and write its curve and a transport plan into the run folder.

    Transport is measured with the default solver and cost, regardless of the run's, so that runs are comparable.

    Args:
        run_dir: Run folder of a speech-translation run.
        split: ``dev``, ``test``, or the path of a manifest; rows without a transcript are left out.
        which: Checkpoint: ``best``, ``last`` or a step number.
        size: Maximum number of utterances; each is a query and a candidate.
        name: Name of the files; empty means ``LABEL_step_N``, with the LABEL of ``aista evaluate``.
        utterance: Id of the utterance whose transport plan is drawn; empty means one of middle length.
        device: Device to run on; empty means the GPU if there is one.
        resamples: Bootstrap resamples for the intervals; 0: no intervals.
        gradients: Compare the gradients of transport and cross-entropy too; takes a training step's memory.
        verify: Compare the weights with their checksums first.

    Returns:
        The name of the files, and the curve.

    Raises:
        RunError: the folder cannot be written, or holds a probe of that name of other data or another checkpoint.
    """
    require_writable(RunPaths(run_dir).probe_dir)
    run, paths = open_run(run_dir, which, device=device, verify=verify), RunPaths(run_dir)
    task, model = with_states(run)
    name = probe_name(name, f"{split_label(split)}_{run.checkpoint.name}")
    with locked(paths.probe_lock(name), paths.probe_file(name)):
        remove_leftovers(paths.probe_dir, f"{glob.escape(name)}*")
        data = run.load_split(split, row_task=run.spoken_task())
        source = data.source(run.checkpoint.name)
        _require_replaceable(paths, name, source)
        plan = _plan(run, task, data, utterance)
        curve = probe_model(task, model, _batches(run, data, size), _probe(model, resamples, gradients=gradients))
        Probe(name, source, run.checkpoint.step, curve).save(paths)
        plan.save(paths, name)
    return name, curve


def measure_layers(
    run: TrainedRun, split: str = "dev", *, size: int = 500, resamples: int = 1000, gradients: bool = False
) -> ProbeCurve:
    """Compute the curve of a probe for an open run or export, without writing files.

    Arguments are those of ``probe``.
    """
    task, model = with_states(run)
    data = run.load_split(split, row_task=run.spoken_task())
    return probe_model(task, model, _batches(run, data, size), _probe(model, resamples, gradients=gradients))


def probe_checkpoints(
    run_dir: Path,
    split: str = "dev",
    *,
    size: int = 500,
    device: str = "",
    resamples: int = 1000,
    gradients: bool = False,
    verify: bool = True,
) -> dict[int, ProbeCurve]:
    """Probe every checkpoint of a run on the same utterances; each is written as SPLIT_step_N.

    Arguments are those of ``probe``; a run keeps as many checkpoints as ``trainer.keep_last`` says.

    Returns:
        Step -> curve, ascending.
    """
    paths = RunPaths(run_dir)
    require_writable(paths.probe_dir)
    run = open_run(run_dir, "last", device=device, verify=verify)
    task, model = with_states(run)
    data = run.load_split(split, row_task=run.spoken_task())
    checkpoints = {f"{data.label}_{checkpoint.name}": checkpoint for checkpoint in checkpoint_steps(run_dir)}
    for name, checkpoint in checkpoints.items():
        _require_replaceable(paths, name, data.source(checkpoint.name))
    batches = _batches(run, data, size)
    curves = {}
    for name, checkpoint in checkpoints.items():
        with locked(paths.probe_lock(name), paths.probe_file(name)):
            model.load_state_dict(load_weights(checkpoint, verify=verify))
            curve = probe_model(task, model, batches, _probe(model, resamples, gradients=gradients))
            Probe(name, data.source(checkpoint.name), checkpoint.step, curve).save(paths)
        curves[checkpoint.step] = curve
        log.info("probed %s", checkpoint.name)
    return curves


def probe_name(given: str, default: str) -> str:
    """The name of a probe's files: ``given``, or a default where that is empty.

    Raises:
        AistaError: it is not a plain file name, or ends like the names of plans.
    """
    if "/" in given or given.startswith(".") or given.endswith(PLAN):
        raise AistaError(f"--name: must be a file name that neither begins with . nor ends with {PLAN}, got {given!r}")
    return given or default


def _require_replaceable(paths: RunPaths, name: str, source: Source) -> None:
    if name not in paths.probe_names():
        return
    try:
        old = Probe.load(paths, name).source
    except RunError as error:
        log.warning("%s; it is replaced", error)
    else:
        source.require_same(old, paths.probe_file(name))


def _batches(run: TrainedRun, data: Split, size: int) -> list[SpeechBatch]:
    batch_size = run.experiment.sections.evaluation.batch_size
    probed = with_encoder_states(probe_split(data, size), run.experiment, run.model, run.device)
    return list(probe_batches(probed, size, batch_size, run.device))


def _probe(model: LargeSpeechTextModel, resamples: int, *, gradients: bool) -> RetrievalProbe:
    """A probe with all measures at all layers."""
    transport = PairTransport(TransportConfig())
    return RetrievalProbe(
        tuple(range(model.llm.num_layers + 1)),
        transport=transport,
        measures=(TokenRetrieval(), WordRetrieval(), AlignmentPath()),
        readings=True,
        agreement=GradientAgreement(transport) if gradients else None,
        resamples=resamples,
    )


def _plan(run: TrainedRun, task: SpeechTranslationTask, data: Split, utterance: str) -> Plan:
    rows = [index for index, row in enumerate(data.dataset.rows) if row.src_text]
    if utterance:
        rows = [index for index in rows if data.dataset.rows[index].id == utterance]
        if not rows:
            raise DataError(f"no utterance {utterance!r} with a transcript in the split {data.name}")
    rows.sort(key=lambda index: data.dataset.rows[index].n_frames)
    return plan_of(run, task, data, rows[len(rows) // 2], (shown_layer(run),))
