from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from aista.errors import DataError
from aista.report.suite_outputs import Hearing2TranslateSamples
from aista.scoring.hypotheses import HypothesisRow

SAMPLE = {"dataset_id": "toy", "src_audio": "toy/audio/a.wav", "src_ref": "yes", "src_lang": "en"}
SAMPLES = [
    SAMPLE | {"sample_id": 7, "tgt_ref": "oui", "tgt_lang": "fr", "benchmark_metadata": {"context": "short"}},
    SAMPLE | {"sample_id": "b", "tgt_ref": {"fr": "non"}, "ref_lang": "fr"},
    SAMPLE | {"sample_id": 0, "tgt_ref": None, "tgt_lang": "fr"},
]
ROWS = [HypothesisRow(id, "", "r", text) for id, text in (("0", ""), ("9", "x"), ("b", 'n"on\n'), ("7", "où"))]


def manifest(folder: Path, samples: list[Any]) -> Path:
    path = folder / "en-fr.jsonl"
    path.write_text("".join(json.dumps(sample) + "\n" for sample in samples))
    return path


def test_outputs_have_the_suite_s_fields_types_and_order(tmp_path: Path) -> None:
    out = tmp_path / "outputs" / "mine.jsonl"
    assert Hearing2TranslateSamples.read(manifest(tmp_path, SAMPLES)).write(ROWS, out) == 1
    common = {"dataset_id": "toy", "src_lang": "en", "tgt_lang": "fr"}
    assert [json.loads(line) for line in out.read_text().splitlines()] == [
        common | {"sample_id": 7, "output": "où"},
        common | {"sample_id": "b", "output": 'n"on\n'},
        common | {"sample_id": 0, "output": ""},
    ]
    assert "où" in out.read_text()


def test_samples_without_a_hypothesis_are_counted(tmp_path: Path) -> None:
    samples = Hearing2TranslateSamples.read(manifest(tmp_path, SAMPLES))
    with pytest.raises(DataError, match=r"2 of 3 samples have no hypothesis \(b, 0\); the suite pairs lines"):
        samples.write(ROWS[-1:], tmp_path / "out.jsonl")
    assert not (tmp_path / "out.jsonl").exists()


def test_hypotheses_in_another_language_are_refused(tmp_path: Path) -> None:
    samples = Hearing2TranslateSamples.read(manifest(tmp_path, SAMPLES[:1]))
    samples.write([HypothesisRow("7", "", "r", "où", "en", "fra_CA")], tmp_path / "out.jsonl")
    with pytest.raises(DataError, match=r"1 of 1 hypotheses are in another language \(7: de, not fr\)"):
        samples.write([HypothesisRow("7", "", "r", "wo", "en", "de")], tmp_path / "other.jsonl")
    assert not (tmp_path / "other.jsonl").exists()


def without(sample: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in sample.items() if key != name}


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ([], "holds no sample"),
        ([SAMPLES[0], without(SAMPLES[1], "ref_lang")], "en-fr.jsonl:2: lacks tgt_lang; name a manifest of the"),
        ([without(SAMPLES[0], "dataset_id")], "en-fr.jsonl:1: lacks dataset_id"),
        ([SAMPLES[0], SAMPLES[0] | {"sample_id": "7"}], "en-fr.jsonl:2: has the sample_id 7 again"),
        (["text"], "en-fr.jsonl:1: not a JSON object but str"),
    ],
)
def test_manifests_of_something_else(tmp_path: Path, samples: list[Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Hearing2TranslateSamples.read(manifest(tmp_path, samples))
