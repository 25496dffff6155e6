"""JSON as other frameworks write it; the layouts are theirs, the contents invented."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from aista.data.audio import probe_audio
from aista.data.sources.base import Recording
from aista.data.sources.opening import recognise
from aista.errors import DataError
from tests.data.sources.conftest import faults_of, parts_of, rows_of

WriteLines = Callable[..., Path]
NEMO = {"audio_filepath": "/data/a.wav", "duration": 2.0}


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"text": "yes"}, {"src_text": "yes", "tgt_text": "", "tgt_lang": ""}),
        (
            {"text": "oui", "source_lang": "en", "target_lang": "fr", "taskname": "ast"},
            {"src_text": "", "tgt_text": "oui", "src_lang": "en", "tgt_lang": "fr"},
        ),
        (
            {"text": "yes", "answer": "oui", "source_lang": "en", "target_lang": "fr"},
            {"src_text": "yes", "tgt_text": "oui", "src_lang": "en", "tgt_lang": "fr"},
        ),
        (
            {"text": "yes", "source_lang": "en", "target_lang": "en", "answer": "na"},
            {"src_text": "yes", "tgt_text": "", "src_lang": "en", "tgt_lang": ""},
        ),
    ],
)
def test_nemo(write_lines: WriteLines, more: dict[str, Any], expected: dict[str, str]) -> None:
    path = write_lines("train_manifest.json", [NEMO | more])
    assert recognise(str(path)) == "nemo"
    (part,) = parts_of(path)
    (row,) = rows_of(part)
    assert row.recording == Recording("/data/a.wav")
    assert {name: text for name, text in row.texts.items() if name in expected} == expected


def test_nemo_offsets_are_segments(write_lines: WriteLines) -> None:
    path = write_lines("train.json", [NEMO | {"text": "yes", "offset": 1.25}, NEMO | {"text": "no", "offset": None}])
    (part,) = parts_of(path)
    assert [row.recording for row in rows_of(part)] == [
        Recording("/data/a.wav", None, 1.25, 2.0),
        Recording("/data/a.wav"),
    ]


def test_nemo_texts_in_files_of_their_own_are_a_fault(write_lines: WriteLines) -> None:
    path = write_lines("train.json", [NEMO | {"text": "yes"}, NEMO | {"text_filepath": "a.txt"}])
    (part,) = parts_of(path)
    ((place, fault),) = faults_of(part)
    assert place == "train.json:2"
    assert fault.startswith("text_filepath: ")


def write_tar(path: Path, **names: str) -> None:
    """An archive with a short WAV under each name."""
    with tarfile.open(path, "w") as tar:
        for index, name in enumerate(names.values()):
            wav = io.BytesIO()
            soundfile.write(wav, np.full(800 + index, 0.25), 8000, format="WAV")
            member = tarfile.TarInfo(name)
            member.size = wav.tell()
            wav.seek(0)
            tar.addfile(member, wav)


@pytest.mark.parametrize("manifest", ["tarred_audio_manifest.json", "sharded_manifests/manifest_0.json"])
def test_nemo_recordings_stay_in_their_tars(write_lines: WriteLines, tmp_path: Path, manifest: str) -> None:
    write_tar(tmp_path / "audio_0.tar", one="_d_a.wav", two="_d_b_c.wav")
    write_tar(tmp_path / "audio_1.tar", one="_d_a.flac")  # another codec than the manifest says
    names = [("_d_a.wav", 0), ("_d_b_c-sub1.wav", 0), ("_d_a.wav", 1), ("_d_x.wav", 1), ("plain.wav", 2)]
    rows = [{"audio_filepath": name, "shard_id": shard, "text": name} for name, shard in names]
    rows[1]["offset"], rows[1]["duration"] = 0.05, 0.025
    (part,) = parts_of(write_lines(manifest, rows))
    found = rows_of(part)
    assert [row.texts["id"] for row in found] == ["_d_a-0", "_d_b_c-sub1-0", "_d_a-1", "plain-2"]
    first, second, third, unpacked = (row.recording for row in found)
    assert first is not None
    assert second is not None
    assert third is not None
    assert [probe_audio(recording.path, Path()).num_samples for recording in (first, second, third)] == [800, 801, 800]
    assert (second.start, second.seconds) == (0.05, 0.025)
    assert unpacked == Recording("plain.wav")
    assert [fault for _, fault in faults_of(part)] == ["audio_1.tar does not hold its recording"]


def test_nemo_tars_that_are_none_are_named(write_lines: WriteLines, tmp_path: Path) -> None:
    (tmp_path / "audio_0.tar").write_bytes(b"no archive")
    (part,) = parts_of(write_lines("train.json", [{"audio_filepath": "a.wav", "shard_id": 0, "text": "yes"}]))
    with pytest.raises(DataError, match=r"audio_0\.tar: must be a plain tar archive, got"):
        rows_of(part)


def test_slam_llm(write_lines: WriteLines) -> None:
    common = {"source": "/data/a.wav", "prompt": "Translate."}
    rows = [common | {"key": "u1", "target": "oui"}, common | {"key": "u2", "target": "yes<|fr|>oui"}]
    path = write_lines("train.jsonl", rows)
    assert recognise(str(path)) == "slam_llm"
    (part,) = parts_of(path)
    plain, chain = rows_of(part)
    assert plain.texts["id"] == "u1"
    assert plain.recording == Recording("/data/a.wav")
    assert (plain.texts["src_text"], plain.texts["tgt_text"]) == ("", "oui")
    assert {name: chain.texts[name] for name in ("src_text", "tgt_text", "tgt_lang")} == {
        "src_text": "yes",
        "tgt_text": "oui",
        "tgt_lang": "fr",
    }


SWIFT = {
    "messages": [{"role": "user", "content": "<audio>Translate."}, {"role": "assistant", "content": "Oui."}],
    "audios": ["clips/a.wav"],
}
LLAMA_FACTORY = {
    "conversations": [{"from": "human", "value": "<audio>Translate."}, {"from": "gpt", "value": "Oui."}],
    "audios": ["clips/a.wav"],
}


@pytest.mark.parametrize(
    "row",
    [
        SWIFT,
        LLAMA_FACTORY,
        {"query": "<audio>Translate.", "response": "Oui.", "audios": ["clips/a.wav"]},
        {"instruction": "Translate.", "input": "<audio>", "output": "Oui.", "audios": ["clips/a.wav"]},
    ],
)
def test_chats(tmp_path: Path, row: dict[str, Any]) -> None:
    path = tmp_path / "data.json"
    path.write_text(json.dumps([row], indent=2))
    assert recognise(str(path)) == "chat"
    (part,) = parts_of(path)
    (found,) = rows_of(part)
    assert (found.recording, found.texts["tgt_text"]) == (Recording("clips/a.wav"), "Oui.")
    assert part.folders == (tmp_path,)
    (found,) = rows_of(part, {"src_text": "answer", "tgt_text": ""})
    assert found.texts["src_text"] == "Oui."


def test_chats_about_several_recordings_or_with_several_answers_are_faults(write_lines: WriteLines) -> None:
    several = [*SWIFT["messages"], {"role": "user", "content": "Again."}, {"role": "assistant", "content": "Non."}]
    rows = [SWIFT, SWIFT | {"audios": ["a.wav", "b.wav"]}, SWIFT | {"audios": []}, SWIFT | {"messages": several}]
    (part,) = parts_of(write_lines("data.jsonl", rows))
    assert [fault.partition(",")[0] for _, fault in faults_of(part)] == [
        "audios must name one file",
        "audios must name one file",
        "must hold one answer in words",
    ]


def test_hearing2translate(write_lines: WriteLines, tmp_path: Path) -> None:
    common = {"dataset_id": "toy", "src_audio": "toy/audio/en/a.wav", "src_ref": "yes", "src_lang": "en"}
    rows = [
        common | {"sample_id": 0, "tgt_ref": "oui", "tgt_lang": "fr", "benchmark_metadata": {"context": "short"}},
        common | {"sample_id": 1, "tgt_ref": None, "ref_lang": "fr"},
        common | {"sample_id": 2, "tgt_ref": {"fr": "oui", "de": "ja"}, "ref_lang": "fr"},
        common | {"sample_id": 3, "tgt_ref": {"it": "sì", "de": "ja"}, "ref_lang": "fr"},
    ]
    path = write_lines("toy/en-fr.jsonl", rows)
    assert recognise(str(path)) == "hearing2translate"
    (part,) = parts_of(path)
    assert part.folders[0] == tmp_path
    assert [(row.texts["id"], row.texts["tgt_text"], row.texts["tgt_lang"]) for row in rows_of(part)] == [
        ("0", "oui", "fr"),
        ("1", "", "fr"),
        ("2", "oui", "fr"),
    ]
    ((place, fault),) = faults_of(part)
    assert (place, fault) == ("en-fr.jsonl:4", "has references in de, it, not in 'fr'; choose one by language=CODE")
    (part,) = parts_of(path, "language=de")
    assert [row.texts["tgt_text"] for row in rows_of(part)] == ["oui", "", "ja", "ja"]
