"""Inputs of metrics other than hypotheses and references: transcripts and audio of utterances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from aista.data.id_table import IdTable, read_id_table, some_of
from aista.errors import DataError
from aista.files import hash_file
from aista.report.text_scores import Texts, read_texts
from aista.run_folder.evaluations import Evaluation
from aista.run_folder.sources import Source
from aista.scoring.base import Metric
from aista.scoring.utterance_inputs import NO_INPUTS, UtteranceInputs

__all__ = ["evaluated_inputs", "evaluated_manifest", "read_inputs"]


def evaluated_inputs(
    evaluations: Mapping[str, Evaluation], ids: Sequence[str], metrics: Sequence[Metric]
) -> UtteranceInputs:
    """Read the inputs that metrics need of evaluated utterances.

    Transcripts are those of the manifest, also for a cascade, whose hypotheses were translated from recognised ones.
    All evaluations must be of the same utterances.

    Args:
        evaluations: Label -> evaluation.
        ids: The utterances, in the order of their hypotheses.
        metrics: Only inputs that one of them needs are read.

    Raises:
        DataError: the manifest is needed, and is missing or has changed since the evaluation.
    """
    needs = {need for metric in metrics for need in metric.needs}
    source = audio = None
    spoken = next((each for each in evaluations.values() if each.source.input in ("", "transcripts")), None)
    if "source" in needs and spoken is not None:
        texts = {row.id: row.src_text for row in spoken.rows}
        source = [texts[id] for id in ids]
    elif "source" in needs:
        source = _columns(_manifest(evaluations, "source"), ids)["src_text"]
    if "audio" in needs:
        audio = _columns(_manifest(evaluations, "audio"), ids)["audio"]
    known = {row.id: row.direction for each in evaluations.values() for row in each.rows if row.tgt_lang}
    return UtteranceInputs(source, audio, [known[id] for id in ids] if "direction" in needs else None)


def _manifest(evaluations: Mapping[str, Evaluation], need: str) -> IdTable:
    return evaluated_manifest(next(iter(evaluations.values())).source, f"a metric that needs the {need} of utterances")


def evaluated_manifest(source: Source, what: str) -> IdTable:
    """Read the manifest of an evaluation, with all columns.

    Args:
        source: The source of the evaluation.
        what: What needs the manifest, for the message.

    Raises:
        DataError: it is not known, is gone, or has changed since.
    """
    path = Path(source.manifest)
    if not source.manifest or not path.is_file() or hash_file(path) != source.sha256:
        raise DataError(
            f"{what}: needs the manifest {source.manifest or '(not recorded)'} as it was evaluated; restore it, or "
            "evaluate again"
        )
    return read_id_table(path)


def read_inputs(path: Path | None, others: Sequence[Texts], size: int) -> UtteranceInputs:
    """Read the inputs of ``size`` utterances.

    Args:
        path: A manifest, hypotheses of an evaluated run, or text with a transcript in each line; None for none.
        others: Files of the scored utterances. Their ids select rows of ``path`` where it has ids too; without a path,
            transcripts are taken from them.
        size: Number of utterances.

    Raises:
        DataError: the file cannot be read, lacks an id, or has another number of lines.
    """
    if path is None:
        sources = next((texts.sources for texts in others if texts.sources is not None), None)
        return NO_INPUTS if sources is None else UtteranceInputs(sources)
    ids = next((texts.ids for texts in others if texts.ids is not None), None)
    texts = read_texts(path)
    if texts.ids is not None and texts.sources is not None:
        known = dict(zip(texts.ids, texts.sources, strict=True))
        columns = {"src_text": _picked(known, ids or texts.ids, path)}
    elif {"id", "src_text"} <= set(texts.hypotheses[0].split("\t")):
        table = read_id_table(path)
        columns = _columns(table, ids or list(table.rows))
    else:
        columns = {"src_text": list(texts.hypotheses)}
    if len(columns["src_text"]) != size:
        raise DataError(f"{path}: has {len(columns['src_text'])} transcripts for {size} references; give one for each")
    return UtteranceInputs(columns["src_text"], columns.get("audio"))


def _columns(table: IdTable, ids: Sequence[str]) -> dict[str, list[str]]:
    """The columns of transcripts and audio that the table has."""
    found: dict[str, list[str]] = {}
    for name in ("src_text", "audio"):
        if name in table.columns:
            found[name] = _picked(table.column(name), ids, table.path)
    if "audio" in found:
        base = table.path.resolve().parent
        found["audio"] = [str(base / audio) if audio else "" for audio in found["audio"]]
    return found


def _picked(values: Mapping[str, str], ids: Sequence[str], path: Path) -> list[str]:
    lacking = [id for id in ids if id not in values]
    if lacking:
        raise DataError(
            f"{path}: lacks {len(lacking)} of {len(ids)} utterances: {some_of(lacking, 5)}; name the manifest "
            "that they are of"
        )
    return [values[id] for id in ids]
