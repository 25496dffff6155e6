"""Of several processes that look at the same files, one computes."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from aista.data import file_memory
from aista.data.file_memory import FileMemory
from aista.data.reading_processes import START_METHOD
from aista.errors import RunError

FILES = [f"f{index}" for index in range(20)]


def _logged(spec: str, base: Path) -> tuple[int]:
    with (base / "log").open("a") as log:
        log.write(f"{spec}\n")
    return (int(spec[1:]),)


def _recall(folder: Path) -> None:
    found = FileMemory(folder / "train.tsv", "numbers", _logged, (int,)).recall_all(FILES)
    assert found.values[0].tolist() == list(range(20))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in FILES:
        (tmp_path / name).write_text(name)
    monkeypatch.setattr(file_memory, "_WORTH_PROCESSES", 1)
    monkeypatch.setattr(file_memory, "num_cores", lambda: 1)
    return tmp_path


@pytest.mark.skipif(START_METHOD != "fork", reason="the test's settings reach forked processes alone")
def test_each_file_is_computed_once_by_all_processes_together(folder: Path) -> None:
    processes = [multiprocessing.get_context("fork").Process(target=_recall, args=(folder,)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert sorted((folder / "log").read_text().split()) == sorted(FILES)
    assert {path.name for path in folder.iterdir()} == {*FILES, "log", ".train.tsv.numbers.arrow"}


def test_without_a_place_for_a_lock_each_computes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError("read-only")

    def refuse_lock(file: Path, place: Path, *, wait: bool) -> None:
        raise RunError("cannot be written")

    monkeypatch.setattr(file_memory, "replacing", refuse)
    monkeypatch.setattr(file_memory, "locked", refuse_lock)
    for _ in range(2):
        _recall(folder)
    assert len((folder / "log").read_text().split()) == 2 * len(FILES)
