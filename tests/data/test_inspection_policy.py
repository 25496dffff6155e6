"""``data.inspect``: how much is looked at before training, and what the columns tell in any case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from aista.data import file_memory, inspection
from aista.data.data_config import DataConfig
from aista.data.encoder_caches.disk import DiskConfig
from aista.data.inspection import FULL_ROWS, Policy, choose_policy, inspect
from aista.data.manifest import UNMEASURED, Row, read_manifest, write_manifest
from aista.schema import Component
from tests.data.conftest import WriteAudio
from tests.data.test_inspection import kinds, run


def faulty(folder: Path, corpus: Sequence[Row]) -> list[Row]:
    """Faults that only decoding, only the header, or the columns alone tell."""
    cut = (folder / "u1.wav").read_bytes()
    (folder / "silent.wav").write_bytes(cut[:44] + bytes(len(cut) - 44))
    return [
        *corpus,
        replace(corpus[1], id="silent", audio="silent.wav"),
        replace(corpus[1], id="gone", audio="gone.wav"),
        replace(corpus[1], id="label", n_frames=99_999),
        replace(corpus[1], id="mute", tgt_text=""),
        replace(corpus[1], id="long", n_frames=16_000 * 60),
        replace(corpus[1], id="text", audio="", n_frames=0),
        replace(corpus[1], id="german", tgt_lang="de"),
    ]


COLUMNS = {"empty target": ["mute"], "empty audio": ["text"], "language mismatch": ["german"]}


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (
            "full",
            COLUMNS
            | {"missing file": ["gone"], "mislabelled n_frames": ["label", "long"], "empty audio": ["silent", "text"]},
        ),
        ("headers", COLUMNS | {"missing file": ["gone"], "mislabelled n_frames": ["label", "long"]}),
        ("trust", COLUMNS | {"too long": ["long"]}),
    ],
)
def test_what_each_policy_finds(
    tmp_path: Path, corpus: tuple[Row, ...], policy: Policy, expected: dict[str, list[str]]
) -> None:
    result = run(tmp_path, faulty(tmp_path, corpus), DataConfig(target_language="fr"), policy=policy)
    assert kinds(result) == expected
    assert (result.policy, result.examined) == (policy, 0 if policy == "trust" else 19)
    assert (result.checks is None) == (policy != "trust")
    assert {row.id for row in corpus} <= {row.id for row in result.kept}


def test_a_sample_is_the_same_each_time_and_the_others_are_trusted(
    tmp_path: Path, corpus: tuple[Row, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspection, "SAMPLE_ROWS", 5)
    for file in tmp_path.glob("*.wav"):
        file.unlink()
    first, again = (run(tmp_path, corpus, policy="sample") for _ in range(2))
    assert first == again
    assert (len(first.problems), first.examined, len(first.kept)) == (5, 5, 7)
    assert "5 rows examined (inspect: sample); faults of the others show when they are read" in first.summary()


def test_trust_opens_no_file_but_those_without_a_length(
    tmp_path: Path, corpus: tuple[Row, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    original = file_memory.read_header

    def spy(spec: str, base: Path, **options: float) -> object:
        read.append(spec)
        return original(spec, base, **options)

    monkeypatch.setattr(file_memory, "read_header", spy)
    result = run(tmp_path, [*corpus[:4], replace(corpus[4], n_frames=UNMEASURED), *corpus[5:]], policy="trust")
    assert read == ["u4.wav"]
    assert (result.measured, result.kept[4].n_frames) == (1, corpus[4].n_frames)


def test_files_are_read_in_processes_with_the_same_result(
    tmp_path: Path, corpus: tuple[Row, ...], write_audio: WriteAudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = DataConfig(max_seconds=0.5)
    alone = run(tmp_path, faulty(tmp_path, corpus), config)
    (tmp_path / ".train.tsv.decoded.arrow").unlink()
    monkeypatch.setattr(file_memory, "_WORTH_PROCESSES", 0)
    monkeypatch.setattr(file_memory, "num_cores", lambda: 2)
    monkeypatch.setattr(file_memory, "_CHUNK", 4)
    calls: list[tuple[int, int]] = []
    together = run(tmp_path, faulty(tmp_path, corpus), config, progress=lambda *call: calls.append(call))
    assert together == alone
    assert calls[-1] == (18, 18)
    assert (tmp_path / ".train.tsv.decoded.arrow").is_file()


def test_auto_is_full_until_there_are_many_rows() -> None:
    config = DataConfig()
    assert choose_policy(config, FULL_ROWS, training=True) == "full"
    assert choose_policy(config, FULL_ROWS + 1, training=True) == "sample"
    assert choose_policy(DataConfig(inspect="trust"), 1, training=True) == "trust"
    assert choose_policy(DataConfig(inspect="trust"), FULL_ROWS + 1, training=False) == "full"


def test_a_cache_of_encoder_states_needs_the_full_inspection() -> None:
    cache = Component("disk", DiskConfig(path=Path("cache")))
    assert choose_policy(DataConfig(encoder_cache=cache), FULL_ROWS + 1, training=True) == "full"
    with pytest.raises(ValueError, match=r"encoder_cache reads every recording .* got inspect: trust"):
        DataConfig(encoder_cache=cache, inspect="trust")


def test_the_columns_of_a_file_say_the_same_as_rows(tmp_path: Path, corpus: tuple[Row, ...]) -> None:
    write_manifest(tmp_path / "train.tsv", corpus)
    manifest = read_manifest(tmp_path / "train.tsv")
    assert inspect(manifest, DataConfig(), policy="trust").kept == manifest.rows
