"""State files: plain data with checksums; what could run code is refused unread."""

import errno
import hashlib
import io
import os
import pickle
from pathlib import Path

import pytest
import torch

from aista.engine.state_files import StateDumper, StateLoader
from aista.errors import RunError
from aista.run_folder.checksums import write_checksums

STATE = {"step": 7, "rates": [0.1, 3e-3], "name": "a", "nested": {"weight": torch.arange(3000.0)}}


@pytest.fixture
def run(tmp_path):
    """Two checkpoints of one file each."""
    for step in (2, 4):
        folder = tmp_path / "checkpoints" / f"step_{step}"
        (folder / "trainer").mkdir(parents=True)
        dumper = StateDumper()
        dumper.dump(STATE, folder / "trainer" / "rank_00.pt")
        write_checksums(folder, dumper.take_checksums(folder))
    return tmp_path


def file_of(run, step=4):
    return run / "checkpoints" / f"step_{step}" / "trainer" / "rank_00.pt"


class Harm:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def test_a_state_is_read_as_it_was_written(run):
    state = StateLoader(verify=True).load(file_of(run))
    assert torch.equal(state.pop("nested")["weight"], STATE["nested"]["weight"])
    assert state == {name: value for name, value in STATE.items() if name != "nested"}


def test_checksums_are_those_of_the_bytes_on_disk(tmp_path):
    dumper, file = StateDumper(), tmp_path / "state.pt"
    dumper.dump(STATE, file)
    assert dumper.take_checksums(tmp_path) == {"state.pt": hashlib.sha256(file.read_bytes()).hexdigest()}
    assert dumper.take_checksums(tmp_path) == {}


class FullOnce(io.BytesIO):
    """Refuses its third write; then somebody makes room."""

    writes = 0

    def write(self, data):
        self.writes += 1
        if self.writes == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(data)


def test_a_full_disk_is_said_to_be_full(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "open", lambda *_: FullOnce())
    with pytest.raises(OSError, match="No space left"):
        StateDumper().dump(STATE, tmp_path / "state.pt")


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_is_refused_unread(run, tmp_path, zipped, verify):
    file = file_of(run)
    torch.save({"step": Harm(tmp_path / "harm")}, file, _use_new_zipfile_serialization=zipped)
    write_checksums(file.parents[1], {"trainer/rank_00.pt": hashlib.sha256(file.read_bytes()).hexdigest()})
    with pytest.raises(RunError, match="could run code when read and is not; intact are the checkpoints of steps 2: "):
        StateLoader(verify=verify).load(file)
    assert not (tmp_path / "harm").exists()
    torch.load(file, weights_only=False)  # the pickle does its harm where it is read
    assert (tmp_path / "harm").exists()


def test_a_state_of_an_earlier_version_is_refused(run):
    torch.save(STATE, file_of(run), pickle_protocol=5)
    with pytest.raises(RunError, match="or a pickle of an earlier aista"):
        StateLoader(verify=False).load(file_of(run))


def test_one_flipped_bit_is_noticed_and_the_way_back_named(run):
    content = bytearray(file_of(run).read_bytes())
    content[len(content) // 2] ^= 1
    file_of(run).write_bytes(content)
    with pytest.raises(
        RunError, match=r"rank_00\.pt: damaged: its SHA-256 .* steps 2: name one \(--checkpoint 2\), or"
    ):
        StateLoader(verify=True).load(file_of(run))


def test_where_nothing_is_whole_no_way_back_is_promised(run):
    for step in (2, 4):
        file_of(run, step).write_bytes(b"")
    with pytest.raises(RunError, match="no other checkpoint of this run is intact"):
        StateLoader(verify=True).load(file_of(run))


@pytest.mark.parametrize("content", [b"", b"garbage", pickle.dumps([1, 2], 2), pickle.dumps({1: 2}, 2)])
def test_what_is_no_state_is_refused_without_checksums_too(run, content):
    file_of(run).write_bytes(content)
    with pytest.raises(RunError, match=r"rank_00\.pt: damaged, or"):
        StateLoader(verify=False).load(file_of(run))


@pytest.mark.parametrize(
    "content", ["", "{}", "[]", '{"model/x.pt": "00"}', "[" * 100_000, '{"trainer/rank_00.pt": 1}']
)
def test_damaged_checksums_are_named(run, content):
    (run / "checkpoints" / "step_4" / "checksums.json").write_text(content)
    with pytest.raises(RunError, match=r"step_4.*steps 2: "):
        StateLoader(verify=True).load(file_of(run))


def test_a_checkpoint_without_checksums_says_how_to_read_it(run):
    (run / "checkpoints" / "step_4" / "checksums.json").unlink()
    with pytest.raises(RunError, match=r"checksums\.json: missing; .* whose weights --no-verify reads"):
        StateLoader(verify=True).load(file_of(run))
    assert StateLoader(verify=False).load(file_of(run)).keys() == STATE.keys()
