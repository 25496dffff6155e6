"""Probes a run's layers, and writes tables and figures of the curves beside the probe's own files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aista.engine.inference.probe import probe, probe_checkpoints, probe_name
from aista.files import write_text
from aista.report.figure import save_png
from aista.report.plots import layer_curves, transport_plan
from aista.report.probe_measures import (
    OVER_TIME,
    agreement_table,
    checkpoint_curves,
    checkpoint_table,
    geometry_table,
    measure_curves,
    measures_csv,
    word_tables,
)
from aista.report.tables import Table, retrieval_table
from aista.run_folder.contents import RunFolder
from aista.run_folder.paths import RunPaths, split_label
from aista.selection.curve import ProbeCurve

__all__ = ["ProbeResult", "probe_one", "probe_over_time"]

MAX_COLUMNS = 9
"""Maximum number of layers in a table with a column per layer; other tables have a line per layer."""


@dataclass(frozen=True)
class ProbeResult:
    """Tables of a probe to print, and the files written."""

    tables: tuple[Table, ...]
    files: tuple[Path, ...]


def probe_one(
    run_dir: Path,
    split: str,
    *,
    which: str,
    size: int,
    name: str = "",
    utterance: str = "",
    device: str = "",
    resamples: int,
    gradients: bool = False,
    verify: bool = True,
) -> ProbeResult:
    """Probe one checkpoint; the arguments are those of ``engine.inference.probe.probe``."""
    name, curve = probe(
        run_dir,
        split,
        which=which,
        size=size,
        name=name,
        utterance=utterance,
        device=device,
        resamples=resamples,
        gradients=gradients,
        verify=verify,
    )
    return ProbeResult(_tables(name, curve), _draw(RunFolder(run_dir), name, curve))


def probe_over_time(
    run_dir: Path,
    split: str,
    *,
    size: int,
    name: str = "",
    device: str = "",
    resamples: int,
    gradients: bool = False,
    verify: bool = True,
) -> ProbeResult:
    """Probe every checkpoint: a table per measure, one CSV, one figure."""
    name = probe_name(name, f"{split_label(split)}_checkpoints")
    curves = probe_checkpoints(
        run_dir, split, size=size, device=device, resamples=resamples, gradients=gradients, verify=verify
    )
    table, picture = RunPaths(run_dir).probe_table_file(name), RunPaths(run_dir).probe_picture_file(name)
    write_text(table, measures_csv(curves))
    save_png(checkpoint_curves(curves), picture)
    return ProbeResult(tuple(checkpoint_table(curves, measure) for measure in OVER_TIME), (table, picture))


def _tables(name: str, curve: ProbeCurve) -> tuple[Table, ...]:
    by_layer = (agreement_table(curve), *word_tables(curve), geometry_table(curve))
    if len(curve.layers) > MAX_COLUMNS:
        return by_layer
    return (retrieval_table({name: curve}), retrieval_table({name: curve}, "recall@1"), *by_layer)


def _draw(run: RunFolder, name: str, curve: ProbeCurve) -> tuple[Path, ...]:
    """Measures as CSV, figures of the curves, and one utterance's transport plan."""
    selection = run.selection()
    table, picture = run.paths.probe_table_file(name), run.paths.probe_picture_file
    write_text(table, measures_csv({run.probe(name).step: curve}))
    figures = {
        picture(name): layer_curves({name: curve}, selected=selection.layers if selection else ()),
        picture(name, "measures"): measure_curves(curve),
        picture(name, "plan"): transport_plan(run.plan(name)),
    }
    for file, figure in figures.items():
        save_png(figure, file)
    return (table, *figures)
