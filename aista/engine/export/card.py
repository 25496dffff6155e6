"""The model card of an exported folder."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import aista
from aista.engine.checkpoints import Checkpoint
from aista.engine.export.plugin_files import PLUGINS
from aista.files import hash_file
from aista.hub import HubName
from aista.modules.trainable import ParameterTable
from aista.run_folder.contents import RunFolder
from aista.tasks.experiment import Experiment

__all__ = ["model_card"]

_LOADING = """```python
import aista

model = aista.load({arguments})
print(model.translate("a.wav").text)
```
"""

_WEIGHTS = {
    "whole": "all weights",
    "merged": "all weights, LoRA merged",
    "trainable": "the weights that the base models lack, to be loaded on them",
    "transformers": "all weights, LoRA merged, as one model of transformers",
}


def model_card(
    run_dir: Path,
    experiment: Experiment,
    checkpoint: Checkpoint,
    table: ParameterTable,
    bases: Mapping[str, Mapping[str, str]],
    kind: str,
    loading: str = "",
    plugins: Sequence[Path] = (),
) -> str:
    """README.md: what the model is, how to load it (``loading``, or with aista), its data and its scores."""
    data = experiment.sections.data
    languages = [code for code in (data.source_language, data.target_language) if code]
    lines = [
        "---",
        f"language: [{', '.join(json.dumps(code) for code in languages)}]",
        "# license: to be filled in; check the licences of the base models and of the data",
        f"library_name: {'transformers' if kind == 'transformers' else 'aista'}",
        *_base_model_line(bases),
        f"tags: [{experiment.sections.task.replace('_', '-')}]",
        "---",
        "",
        f"# {run_dir.resolve().name}",
        "",
        f"Task `{experiment.sections.task}`, checkpoint at step {checkpoint.step}, {_WEIGHTS[kind]}. "
        f"Exported by aista {aista.__version__}.",
        experiment.sections.corpus_note,
        "",
        "## Load it",
        "",
        loading or _loading(bases if kind == "trainable" else {}, plugins),
        *_plugin_lines(plugins),
        "## Parts",
        "",
        "```",
        str(table),
        "```",
        "",
        *_base_lines(bases),
        "## Data",
        "",
        *_data_lines(experiment),
        "",
        "## Scores",
        "",
        *(list(_score_lines(run_dir, checkpoint)) or ["Not evaluated before the export."]),
    ]
    return "\n".join(lines) + "\n"


def _loading(bases: Mapping[str, Mapping[str, str]], plugins: Sequence[Path]) -> str:
    arguments = ['"THIS_FOLDER"']
    if bases:
        named = ", ".join(f'"{part}": "{base["name"]}"' for part, base in bases.items())
        arguments.append(f"base={{{named}}}")
    if plugins:
        files = ", ".join(f'"THIS_FOLDER/{PLUGINS}/{file.name}"' for file in plugins)
        arguments.append(f"plugins=[{files}]")
    return _LOADING.format(arguments=", ".join(arguments))


def _plugin_lines(plugins: Sequence[Path]) -> list[str]:
    if not plugins:
        return []
    rows = [f"| `{PLUGINS}/{file.name}` | `{hash_file(file)}` |" for file in plugins]
    advice = "Parts of this model are code, which runs only where its file is named (`--plugin`). Read it first:"
    return [advice, "", "| plug-in | SHA-256 |", "|---|---|", *rows, ""]


def _base_model_line(bases: Mapping[str, Mapping[str, str]]) -> list[str]:
    """The hub's own key, for bases that came from the hub."""
    names = [HubName.parse(Path(base["name"])) for base in bases.values()]
    repos = dict.fromkeys(name.repo for name in names if name is not None)
    return [f"base_model: [{', '.join(repos)}]"] if repos else []


def _base_lines(bases: Mapping[str, Mapping[str, str]]) -> list[str]:
    if not bases:
        return []
    rows = [f"| {part} | {base['name']} | `{base['fingerprint']}` |" for part, base in bases.items()]
    return ["Base models:", "", "| part | name | fingerprint of the weights |", "|---|---|---|", *rows, ""]


def _data_lines(experiment: Experiment) -> list[str]:
    """SHA-256 of each manifest, and the fingerprint of the prepared corpus around it."""
    data = experiment.sections.data
    rows = []
    for split, path in (("train", data.train), ("dev", data.dev), ("test", data.test)):
        if path is not None:
            fingerprint = f"`sha256:{hash_file(path)}`" if path.is_file() else "no longer there"
            rows.append(f"| {split} | {path.name} | {fingerprint} | {_corpus(path.parent)} |")
    if data.stream is not None:
        rows.append(f"| train | {data.stream.config.path.name} ({data.stream.name}) | - | - |")
    return ["| split | manifest | fingerprint | prepared corpus |", "|---|---|---|---|", *rows]


def _corpus(folder: Path) -> str:
    recorded = _json(folder / "fingerprint.json").get("fingerprint")
    return f"`{recorded}`" if recorded else "-"


def _score_lines(run_dir: Path, checkpoint: Checkpoint) -> Iterator[str]:
    """Scores of the exported checkpoint alone."""
    run = RunFolder(run_dir)
    for evaluation in (run.evaluation(split) for split in run.paths.evaluated_splits()):
        if evaluation.source.checkpoint != checkpoint.name:
            continue
        note = f", {evaluation.note}" if evaluation.note else ""
        yield f"{evaluation.label} ({len(evaluation.rows)} utterances{note}):"
        yield ""
        for score in evaluation.scores:
            yield f"- {score}  `{score.signature}`"
        yield ""


def _json(file: Path) -> dict[str, Any]:
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}
