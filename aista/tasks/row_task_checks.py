"""Checks of ``data.tasks`` against the rest of a config."""

from __future__ import annotations

from collections.abc import Collection

from aista.data.row_tasks import is_text_row
from aista.data.tokenizers.base import TextTokenizer
from aista.errors import Fault
from aista.tasks.experiment import Sections

__all__ = ["check_row_tasks"]


def check_row_tasks(
    sections: Sections, tokenizer: TextTokenizer, *, aligned: Collection[str] | None, probed: bool, mt_weight: float
) -> list[Fault]:
    """Find faults that show before data and model are read.

    Args:
        sections: The shared sections of the config.
        tokenizer: Must be able to write the marker of ``cot``.
        aligned: Tasks whose rows are aligned; None where nothing is aligned.
        probed: Whether layers are chosen by the states of dev rows.
        mt_weight: Weight of the text-translation loss.
    """
    data, faults = sections.data, list[Fault]()
    if not data.tasks:
        return faults
    if aligned is not None and probed and is_text_row(data.tasks[0]):
        problem = f"layers are chosen by dev rows of the first, so it must read speech, got {data.tasks[0]}"
        faults.append(Fault("data.tasks", problem, "name another first"))
    if aligned is not None and not set(aligned) & set(data.tasks):
        problem = f"no row is aligned: data.tasks are {', '.join(data.tasks)}, got {', '.join(aligned) or 'none'}"
        faults.append(Fault("aligned_tasks", problem, "name some of them, or set alignment: []"))
    if mt_weight > 0 and "st" not in data.tasks:
        problem = f"belongs to the task st, which data.tasks do not name, got {mt_weight:g}"
        faults.append(Fault("mt_weight", problem, "set it to 0; the task mt trains text translation by itself"))
    if repeated := sorted({name for name in data.tasks if data.tasks.count(name) > 1}):
        faults.append(Fault("data.tasks", f"names {repeated[0]} twice", "name it once; data.mix raises its share"))
    if "mt" in data.tasks and sections.trainer.data_parallelism == "fsdp":
        problem = "batches of mt may hold no speech, but fsdp needs every process to run the encoder in each step"
        faults.append(Fault("trainer.data_parallelism", problem, "set ddp, or leave mt out of data.tasks"))
    if "cot" in data.tasks and data.cot_marker not in tokenizer.decode(tokenizer.encode(f"a {data.cot_marker} b")):
        problem = f"the tokenizer cannot write the marker {data.cot_marker!r}, which cot rows are split at"
        remedy = "choose a piece that texts do not contain; pieces like <sep> are for prompts only"
        faults.append(Fault("data.cot_marker", problem, remedy))
    return faults
