from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import soundfile

from aista.data import file_memory
from aista.data.data_config import DataConfig
from aista.data.inspection import Inspection, inspect
from aista.data.manifest import UNMEASURED, Manifest, Row, read_manifest, write_manifest
from aista.data.manifest_rows import Rows
from aista.data.row_checks import Limit
from aista.errors import DataError
from aista.testing.dummies import DummyTokenizer
from tests.data.conftest import WriteAudio


def run(
    folder: Path, rows: list[Row] | tuple[Row, ...], config: DataConfig | None = None, **options: Any
) -> Inspection:
    path = folder / "train.tsv"
    write_manifest(path, rows)
    return inspect(read_manifest(path), config or DataConfig(), **options)


def kinds(inspection: Inspection) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for problem in inspection.problems:
        found.setdefault(problem.kind, []).append(problem.id)
    return found


def test_good_rows_are_kept_and_those_without_transcript_counted(tmp_path: Path, corpus: tuple[Row, ...]) -> None:
    result = run(tmp_path, corpus)
    assert [row.id for row in result.kept] == [row.id for row in corpus]
    assert result.problems == ()
    assert result.counts == {"rows": 12, "kept": 12, "bad": 0, "ce_only": 4}
    assert result.seconds == pytest.approx(sum(row.seconds for row in corpus))
    assert result.require("error") == result.kept
    assert "4 of them without transcript: cross-entropy only" in result.summary()


def test_rows_without_n_frames_are_measured(tmp_path: Path, write_audio: WriteAudio) -> None:
    write_audio("a.wav", 1.5, rate=44_100)
    result = run(tmp_path, [Row("a", "a.wav", UNMEASURED, "x"), Row("b", "gone.wav", UNMEASURED, "x")])
    assert [row.n_frames for row in result.kept] == [24_000]
    assert (result.seconds, result.measured, result.to_json()["measured"]) == (1.5, 2, 2)
    assert "2 rows without n_frames: measured" in result.summary()
    assert kinds(result) == {"missing file": ["b"]}


def test_word_times_of_measured_rows_lie_within_the_audio(tmp_path: Path, write_audio: WriteAudio) -> None:
    write_audio("a.wav", 1.0)
    rows = [
        Row(id, "a.wav", UNMEASURED, "x", src_text="one", word_times=times)
        for id, times in (("inside", "0.2-0.9"), ("beyond", "0.2-1.4"))
    ]
    result = run(tmp_path, rows)
    assert kinds(result) == {"impossible word times": ["beyond"]}
    assert "within the audio's 1.000 s, got 0.2-1.4" in result.problems[0].message


def bad_corpus(folder: Path, write_audio: WriteAudio) -> list[Row]:
    write_audio("good.wav", 1.0)
    write_audio("long.wav", 3.0)
    write_audio("short.wav", 0.05)
    (folder / "noise.wav").write_bytes(b"no audio at all")
    soundfile.write(folder / "empty.wav", np.zeros(0), 16_000)
    return [
        Row("good", "good.wav", 16_000, "Bonjour.", src_text="Hello.", src_lang="en", tgt_lang="fr"),
        Row("gone", "gone.wav", 16_000, "Bonjour."),
        Row("noise", "noise.wav", 16_000, "Bonjour."),
        Row("empty", "empty.wav", 16_000, "Bonjour."),
        Row("text", "", 0, "Bonjour."),
        Row("mute", "good.wav", 16_000, ""),
        Row("long", "long.wav", 48_000, "Bonjour."),
        Row("short", "short.wav", 800, "Bonjour."),
        Row("label", "good.wav", 17_000, "Bonjour."),
        Row("nearly", "good.wav", 16_700, "Bonjour."),
        Row("german", "good.wav", 16_000, "Guten Tag.", src_lang="en", tgt_lang="de"),
        Row("twice", "gone.wav", 16_000, ""),
    ]


EXPECTED = {
    "missing file": ["gone", "twice"],
    "undecodable": ["noise"],
    "empty audio": ["empty", "text"],
    "empty target": ["mute", "twice"],
    "too long": ["long"],
    "too short": ["short"],
    "mislabelled n_frames": ["label"],
    "language mismatch": ["german"],
}


def test_every_kind_of_bad_row_is_found(tmp_path: Path, write_audio: WriteAudio) -> None:
    config = DataConfig(max_seconds=2, target_language="fr", source_language="EN")
    result = run(tmp_path, bad_corpus(tmp_path, write_audio), config)
    assert kinds(result) == EXPECTED
    assert [row.id for row in result.kept] == ["good", "nearly"]
    assert result.counts == {"rows": 12, "kept": 2, "bad": 10, "ce_only": 1}


def test_bad_rows_stop_the_run_or_are_dropped_as_the_config_says(tmp_path: Path, write_audio: WriteAudio) -> None:
    config = DataConfig(max_seconds=2, target_language="fr")
    result = run(tmp_path, bad_corpus(tmp_path, write_audio), config)
    assert [row.id for row in result.require("drop")] == ["good", "nearly"]
    with pytest.raises(DataError) as caught:
        result.require("error")
    message = str(caught.value)
    path = tmp_path / "train.tsv"
    assert f"{path}: 12 rows, 2 good" in message
    assert f"{path}:8: long: must last at most 2 s, got 3.00 s; cut it, or raise data.max_seconds" in message
    assert (
        f"{path}:10: label: n_frames must be within 5 % of the audio's 16000 samples at 16000 Hz, got 17000" in message
    )
    assert f"{path}:12: german: tgt_lang must be 'fr' as data.target_language says, got 'de'" in message
    assert message.endswith("correct or remove these rows, or set data.on_bad_rows: drop to train without them")


def test_dropping_everything_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no row is left"):
        run(tmp_path, [Row("u", "gone.wav", 1, "x")]).require("drop")


def test_the_summary_lists_the_first_of_each_kind(tmp_path: Path) -> None:
    result = run(tmp_path, [Row(f"u{index}", "gone.wav", 1, "x") for index in range(8)])
    lines = result.summary(examples=3).splitlines()
    assert lines[1:3] == ["  8 bad:", "  missing file: 8"]
    assert lines[-1] == "    ... and 5 more"
    assert len(lines) == 7


def test_durations_count_seconds_whatever_the_rate_of_the_file(tmp_path: Path, write_audio: WriteAudio) -> None:
    write_audio("a.wav", 1.0, rate=44_100)
    assert run(tmp_path, [Row("a", "a.wav", 16_000, "x")]).problems == ()
    assert kinds(run(tmp_path, [Row("a", "a.wav", 44_100, "x")])) == {"mislabelled n_frames": ["a"]}


def test_control_tokens_in_texts_are_named(tmp_path: Path) -> None:
    tokenizer = DummyTokenizer()
    tokenizer.encode_prompt = lambda text: [1 if word == "</s>" else 5 for word in text.split()]  # type: ignore[method-assign]
    rows = [
        Row("good", "", 0, "a < b"),
        Row("target", "", 0, "a </s> b </s>"),
        Row("source", "", 0, "a", src_text="x </s>"),
    ]
    result = run(tmp_path, rows, with_audio=False, tokenizer=tokenizer)
    assert kinds(result) == {"control token": ["target", "source"]}
    assert result.problems[0].message.startswith("tgt_text must not write '</s>', which controls the model")
    assert run(tmp_path, rows, with_audio=False).problems == ()


def test_text_tasks_do_not_look_at_audio(tmp_path: Path) -> None:
    rows = [Row("a", "gone.wav", 1, "x", src_text="y"), Row("b", "", 0, "x", src_text="y")]
    result = run(tmp_path, rows, with_audio=False)
    assert len(result.kept) == 2
    assert result.seconds == 0


def test_a_task_may_need_no_translations(tmp_path: Path) -> None:
    rows = [Row("a", "", 0, "x"), Row("b", "", 0, "", src_text="y")]
    assert kinds(run(tmp_path, rows, with_audio=False)) == {"empty target": ["b"]}
    assert kinds(run(tmp_path, rows, with_audio=False, needs_target=False)) == {}
    bare = run(tmp_path, [*rows, Row("c", "", 0, "")], with_audio=False, needs_target=False)
    assert kinds(bare) == {"no text": ["c"]}
    assert "got nothing in both" in bare.problems[0].message


def test_rows_the_task_rejects_are_set_aside_without_a_fault(tmp_path: Path, corpus: tuple[Row, ...]) -> None:
    rows = [*corpus, Row("unread", "gone.wav", 1, "x")]
    result = run(tmp_path, rows, reject=lambda row: "" if row.src_text else "no transcript")
    assert result.problems == ()
    assert result.set_aside == {"no transcript": 5}
    assert result.counts == {"rows": 13, "kept": 8, "bad": 0, "ce_only": 0}
    assert "5 not used by this task: no transcript" in result.summary()


def test_limits_of_the_model(tmp_path: Path, corpus: tuple[Row, ...]) -> None:
    def target_tokens(rows: Sequence[Row], seconds: Sequence[float]) -> list[int]:
        return [len(row.tgt_text) for row in rows]

    def positions(rows: Sequence[Row], seconds: Sequence[float]) -> list[int]:
        return [round(10 * duration) for duration in seconds]

    whole = run(tmp_path, corpus)
    limits = [Limit("target tokens", 11, target_tokens, "raise it"), Limit("LLM positions", 7, positions, "mend", 1)]
    result = whole.within(limits)
    assert kinds(result) == {"too many target tokens": ["u10", "u11"], "too many LLM positions": ["u11"]}
    assert result.problems[0].message == "must take at most 11 target tokens, got 12; raise it"
    assert [row.id for row in result.kept] == [row.id for row in whole.kept[:10]]
    assert result.counts == {"rows": 12, "kept": 10, "bad": 2, "ce_only": sum(not row.src_text for row in result.kept)}
    assert result.seconds == pytest.approx(sum(row.seconds for row in result.kept))
    assert whole.within([]) == whole
    assert result.within(limits) == result
    with pytest.raises(DataError, match="u11: must take at most 7 LLM positions, got"):
        result.require("error")


def test_limits_have_a_lower_end(tmp_path: Path, corpus: tuple[Row, ...]) -> None:
    limit = Limit("samples", 10**9, lambda rows, seconds: [round(16_000 * s) for s in seconds], "pad it", 4000)
    result = run(tmp_path, corpus).within([limit])
    assert kinds(result) == {"too few samples": ["u0"]}
    assert result.problems[0].message == "must take at least 4000 samples, got 3200; pad it"


def test_limits_see_true_durations(tmp_path: Path, write_audio: WriteAudio) -> None:
    write_audio("a.wav", 1.0)
    result = run(tmp_path, [Row("a", "a.wav", 15_500, "x")])
    assert result.durations.tolist() == [1.0]


def test_progress_reaches_the_number_of_rows(tmp_path: Path, corpus: tuple[Row, ...]) -> None:
    calls: list[tuple[int, int]] = []
    run(tmp_path, corpus, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(index + 1, 12) for index in range(12)]


def test_the_outcome_can_be_written_as_json(tmp_path: Path, write_audio: WriteAudio) -> None:
    result = run(tmp_path, bad_corpus(tmp_path, write_audio))
    data = json.loads(json.dumps(result.to_json()))
    assert data["counts"]["rows"] == 12
    assert {problem["kind"] for problem in data["problems"]} == set(kinds(result))


def test_unknown_columns_are_told_once(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path / "t.tsv", Rows.of([Row("a", "", 0, "x")]), ("colour", "size"))
    result = inspect(manifest, DataConfig(), with_audio=False)
    assert result.summary().count("columns not read: colour, size") == 1


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Files that are really decoded."""
    specs: list[str] = []
    original = file_memory.probe_audio

    def spy(spec: str, base: Path, **limits: float) -> Any:
        specs.append(spec)
        return original(spec, base, **limits)

    monkeypatch.setattr(file_memory, "probe_audio", spy)
    return specs


def test_the_second_inspection_decodes_only_what_changed(
    tmp_path: Path, corpus: tuple[Row, ...], write_audio: WriteAudio, decoded: list[str]
) -> None:
    first = run(tmp_path, corpus)
    assert len(decoded) == 12
    decoded.clear()
    second = run(tmp_path, corpus)
    assert decoded == []
    assert second == first
    write_audio("u3.wav", 2.0)
    (tmp_path / "u4.wav").unlink()
    changed = run(tmp_path, corpus)
    assert sorted(decoded) == ["u3.wav", "u4.wav"]
    assert kinds(changed) == {"mislabelled n_frames": ["u3"], "missing file": ["u4"]}


def test_failures_are_not_remembered(tmp_path: Path, write_audio: WriteAudio, decoded: list[str]) -> None:
    (tmp_path / "a.wav").write_bytes(b"no audio")
    for _ in range(2):
        assert kinds(run(tmp_path, [Row("a", "a.wav", 8_000, "x")])) == {"undecodable": ["a"]}
    assert decoded == ["a.wav", "a.wav"]


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "another"])
def test_a_damaged_memory_is_ignored_and_rebuilt(
    tmp_path: Path, corpus: tuple[Row, ...], decoded: list[str], damage: str
) -> None:
    run(tmp_path, corpus)
    memory = tmp_path / ".train.tsv.decoded.arrow"
    whole = memory.read_bytes()
    table = pa.table({"spec": ["u0.wav"], "size": [1]})
    if damage == "another":
        with pa.ipc.new_file(str(memory), table.schema) as writer:
            writer.write_table(table)
    else:
        memory.write_bytes({"empty": b"", "text": b"{}", "cut": whole[: len(whole) // 2]}[damage])
    decoded.clear()
    assert run(tmp_path, corpus).problems == ()
    assert len(decoded) == 12
    decoded.clear()
    assert run(tmp_path, corpus).problems == ()
    assert decoded == []


def test_an_interrupted_inspection_goes_on_where_it_stopped(
    tmp_path: Path, corpus: tuple[Row, ...], decoded: list[str]
) -> None:
    def stop(done: int, total: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, corpus, progress=stop)
    before = len(decoded)
    assert before >= 5
    run(tmp_path, corpus)
    assert len(decoded) == 12


def test_a_folder_that_cannot_be_written_costs_only_the_memory(
    tmp_path: Path, corpus: tuple[Row, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise PermissionError("read-only")

    monkeypatch.setattr(file_memory, "replacing", refuse)
    assert run(tmp_path, corpus).problems == ()
    assert not (tmp_path / ".train.tsv.decoded.arrow").exists()


def test_a_memory_that_can_neither_be_read_nor_replaced(tmp_path: Path, corpus: tuple[Row, ...]) -> None:
    (tmp_path / ".train.tsv.decoded.arrow").mkdir()
    assert run(tmp_path, corpus).problems == ()
    assert {path.name for path in tmp_path.iterdir() if path.suffix != ".wav"} == {
        "train.tsv",
        ".train.tsv.decoded.arrow",
    }
