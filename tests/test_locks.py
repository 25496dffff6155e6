"""Locks between real processes: one holds, others learn who; death and forks free nothing they should not."""

import errno
import fcntl
import os
import re
import signal
import subprocess
import sys
import threading

import pytest

from aista.errors import RunError
from aista.locks import is_locked, locked

HOLD = """
import os, sys
from pathlib import Path
from aista.locks import locked
with locked(Path(sys.argv[1]), Path("runs/mine")):
    print("held", flush=True)
    if len(sys.argv) > 2 and not os.fork():
        os.close(1)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Starts a process that holds tmp_path/folder/lock until its input ends; its children do so too."""
    processes = []

    def start(*arguments):
        command = [sys.executable, "-c", HOLD, str(tmp_path / "folder" / "lock"), *arguments]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        processes.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in processes:
        process.stdin.close()
        process.stdout.close()
        process.wait()


def test_the_second_process_learns_who_holds_it(tmp_path, holder):
    process = holder()
    file = tmp_path / "folder" / "lock"
    assert is_locked(file)
    with pytest.raises(RunError) as caught, locked(file, tmp_path):
        pass
    who = re.escape(f"{tmp_path}: in use by process {process.pid} on {os.uname().nodename} since 20")
    assert re.match(rf"{who}[-0-9]* [:0-9]* \(-c .*folder/lock\); wait until it ends, or end it", str(caught.value))


def test_a_look_at_the_lock_does_not_count_as_holding_it(tmp_path):
    with (tmp_path / "lock").open("wb") as stream:
        fcntl.flock(stream, fcntl.LOCK_SH)  # what `is_locked` of another process does for a moment
        threading.Timer(0.03, fcntl.flock, (stream, fcntl.LOCK_UN)).start()
        with locked(tmp_path / "lock", tmp_path):
            assert is_locked(tmp_path / "lock")


def test_a_killed_process_leaves_the_lock_free(tmp_path, holder):
    process = holder()
    process.send_signal(signal.SIGKILL)
    process.wait()
    file = tmp_path / "folder" / "lock"
    assert file.is_file()
    assert not is_locked(file)
    with locked(file, tmp_path):
        assert is_locked(file)


def test_children_of_a_killed_process_do_not_keep_its_lock(tmp_path, holder):
    process = holder("fork")
    process.send_signal(signal.SIGKILL)
    process.wait()
    with locked(tmp_path / "folder" / "lock", tmp_path):
        pass


def test_waiting_takes_the_lock_when_it_is_freed(tmp_path, holder):
    process = holder()
    taken = threading.Event()

    def wait():
        with locked(tmp_path / "folder" / "lock", tmp_path, wait=True):
            taken.set()

    waiting = threading.Thread(target=wait)
    waiting.start()
    assert not taken.wait(0.2)
    process.stdin.close()
    assert taken.wait()
    waiting.join()


@pytest.mark.parametrize("is_written", [True, False])
def test_the_file_goes_with_the_lock_and_folders_only_if_nothing_is_in_them(tmp_path, is_written):
    with locked(tmp_path / "a" / "b" / "lock", tmp_path):
        if is_written:
            (tmp_path / "a" / "kept").touch()
    assert [path.name for path in tmp_path.rglob("*")] == (["a", "kept"] if is_written else [])


def test_a_file_system_without_locks_is_a_warning(tmp_path, monkeypatch, caplog):
    def refuse(descriptor, how):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with locked(tmp_path / "lock", tmp_path):
        pass
    assert caplog.messages == [
        f"{tmp_path}: its file system has no locks ([Errno 37] No locks available): "
        "make sure that no other process writes to it"
    ]
