from __future__ import annotations

import json
import logging
import multiprocessing
import os
import shutil
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from aista.data.encoder_caches.disk import DiskCache, DiskConfig
from aista.errors import DataError


def make(folder: Path, dtype: str = "float32", **identity: str) -> DiskCache:
    return DiskCache(DiskConfig(path=folder, dtype=dtype), identity=identity)  # type: ignore[arg-type]


def states(*keys: str, size: int = 5) -> dict[str, Tensor]:
    return {key: torch.randn(size + place, 3) for place, key in enumerate(keys)}


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.safetensors"))


@pytest.mark.parametrize(("dtype", "rounding"), [("float32", 0.0), ("float16", 2**-10), ("bfloat16", 2**-7)])
def test_another_process_reads_every_bit_or_the_rounded_value(tmp_path: Path, dtype: str, rounding: float) -> None:
    written = states("a", "b")
    make(tmp_path, dtype).write(written)
    again = make(tmp_path, dtype)
    assert again.missing(["b", "c", "a"]) == ["c"]
    for key, tensor in written.items():
        torch.testing.assert_close(again.read(key).float(), tensor, rtol=rounding, atol=rounding / 100)
    assert str(again) == f"{again.folder} (2 recordings, 0.00 GiB, torch.{dtype})"


def test_other_identities_and_types_share_nothing(tmp_path: Path) -> None:
    caches = [make(tmp_path), make(tmp_path, weights="1"), make(tmp_path, weights="2"), make(tmp_path, "float16")]
    for number, cache in enumerate(caches):
        assert cache.missing(["a"]) == ["a"]
        cache.write({"a": torch.full((1, 1), float(number))})
    assert [float(cache.read("a")) for cache in caches] == [0, 1, 2, 3]
    described = json.loads((caches[1].folder / "identity.json").read_text())
    assert described == {"dtype": "float32", "format": 1, "weights": "1"}


def test_each_write_is_one_complete_file_of_what_is_new(tmp_path: Path) -> None:
    one, other = make(tmp_path), make(tmp_path)
    one.write(states("a", "b"))
    other.write(states("b", "c"))
    other.write(states("a", "c"))
    assert sorted(sorted(load_file(file)) for file in files(tmp_path)) == [["a", "b"], ["c"]]
    assert not [path for path in tmp_path.rglob(".*") if path.is_file()]


def test_float16_refuses_what_it_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"recording a are not finite as torch.float16 \(largest magnitude 70000\); cho"
    ):
        make(tmp_path, "float16").write({"a": torch.full((2, 2), 7e4)})
    make(tmp_path, "bfloat16").write({"a": torch.full((2, 2), 7e4)})


def cut(content: bytes) -> bytes:
    return content[:-5]


def truncate_header(content: bytes) -> bytes:
    return content[:20]


def no_bytes(content: bytes) -> bytes:
    return b""


@pytest.mark.parametrize("damage", [cut, truncate_header, no_bytes])
def test_a_file_that_is_cut_short_is_named_and_its_recordings_are_missing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: object
) -> None:
    cache = make(tmp_path)
    cache.write(states("a", "b"))
    (broken,) = files(tmp_path)
    cache.write(states("c"))
    broken.write_bytes(damage(broken.read_bytes()))  # type: ignore[operator]
    again = make(tmp_path)
    with caplog.at_level(logging.WARNING, "aista.data"):
        assert again.missing(["a", "b", "c"]) == ["a", "b"]
    assert f"{broken}: damaged encoder states (" in caplog.text
    again.write(states("a", "b"))
    assert again.missing(["a", "b", "c"]) == []
    assert caplog.text.count("damaged") == 1, "said once"


def test_a_foreign_file_is_named_and_not_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache = make(tmp_path)
    cache.folder.mkdir()
    save_file(states("a"), cache.folder / "foreign.safetensors")
    assert cache.missing(["a"]) == ["a"]
    assert "foreign.safetensors: damaged encoder states (it has no checksums)" in caplog.text


def test_changed_bytes_are_an_error_that_says_what_to_delete(tmp_path: Path) -> None:
    make(tmp_path).write(states("a"))
    (file,) = files(tmp_path)
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    cache = make(tmp_path)
    assert cache.missing(["a"]) == []
    with pytest.raises(DataError, match=rf"{file}: the states of the recording a are damaged \(its bytes .*; delete "):
        cache.read("a")


def test_a_file_that_shrinks_or_goes_while_it_is_used_is_an_error(tmp_path: Path) -> None:
    cache = make(tmp_path)
    cache.write(states("a"))
    (file,) = files(tmp_path)
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(DataError, match="its bytes are not those that were written"):
        cache.read("a")
    shutil.rmtree(cache.folder)
    with pytest.raises(DataError, match="No such file"):
        cache.read("a")


def test_too_little_room_is_known_before_anything_is_written(tmp_path: Path) -> None:
    cache = make(tmp_path / "not" / "yet")
    cache.require_space(1)
    with pytest.raises(DataError, match=r"need 931322574.62 GiB, and .* GiB are free; make room, choose another path"):
        cache.require_space(10**18)
    assert not (tmp_path / "not").exists()


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = make(tmp_path / "file")
    assert cache.missing(["a"]) == ["a"]
    with pytest.raises(
        DataError, match=r"encoder states cannot be written: .*; make room there, or choose another path"
    ):
        cache.write(states("a"))


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = make(tmp_path)
    cache.write(states("a"))
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(DataError, match="cannot be written: No space left on device"):
        cache.write(states("b"))
    monkeypatch.undo()
    assert len([path for path in cache.folder.iterdir() if path.name != "identity.json"]) == 1
    assert make(tmp_path).missing(["a", "b"]) == ["b"]


def test_what_killed_writers_left_is_removed_after_a_day(tmp_path: Path) -> None:
    cache = make(tmp_path)
    cache.folder.mkdir()
    old, young = (cache.folder / f".{name}.safetensors.0123abcd" for name in ("old", "young"))
    for file in (old, young):
        file.write_bytes(b"half of it")
    os.utime(old, (time.time() - 90_000,) * 2)
    cache.write(states("a"))
    assert (old.exists(), young.exists()) == (False, True)


def write_many(folder: Path, seed: int) -> None:
    cache = make(folder)
    torch.manual_seed(0)
    all_states = states(*(f"k{number}" for number in range(40)), size=200)
    order = sorted(all_states, key=lambda key: hash((seed, key)))
    for start in range(0, len(order), 4):
        cache.write({key: all_states[key] for key in order[start : start + 4]})


def test_a_file_that_another_writer_moves_into_place_meanwhile_is_no_leftover(tmp_path: Path) -> None:
    cache = make(tmp_path)
    cache.write(states("a"))
    (cache.folder / ".moved.safetensors.0123abcd").symlink_to(tmp_path / "gone")  # listed, but no longer there
    cache.write(states("b"))
    assert make(tmp_path).missing(["a", "b"]) == []


def test_processes_that_write_at_a_time_corrupt_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=write_many, args=(tmp_path, seed)) for seed in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    torch.manual_seed(0)
    expected = states(*(f"k{number}" for number in range(40)), size=200)
    cache = make(tmp_path)
    assert cache.missing(expected) == []
    assert all(torch.equal(cache.read(key), tensor) for key, tensor in expected.items())
