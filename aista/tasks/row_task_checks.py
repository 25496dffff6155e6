"""What ``data.tasks`` needs of the rest of a config."""

from __future__ import annotations

from aista.data.tokenizers.base import TextTokenizer
from aista.errors import Fault
from aista.tasks.experiment import Sections

__all__ = ["check_row_tasks"]


def check_row_tasks(sections: Sections, tokenizer: TextTokenizer) -> list[Fault]:
    """Faults that show before data and model are read."""
    data, faults = sections.data, list[Fault]()
    if repeated := sorted({name for name in data.tasks if data.tasks.count(name) > 1}):
        faults.append(Fault("data.tasks", f"names {repeated[0]} twice", "name it once; data.mix raises its share"))
    if "mt" in data.tasks and sections.trainer.data_parallelism == "fsdp":
        problem = "batches of mt may hold no speech, but fsdp needs every process to run the encoder in each step"
        faults.append(Fault("trainer.data_parallelism", problem, "set ddp, or leave mt out of data.tasks"))
    if "cot" in data.tasks and data.cot_marker not in tokenizer.decode(tokenizer.encode(f"a {data.cot_marker} b")):
        problem = f"the tokenizer cannot write the marker {data.cot_marker!r}, which cot rows are split at"
        faults.append(Fault("data.cot_marker", problem, "choose one of its own symbols that texts do not hold"))
    return faults
