"""A training that is killed at any of its file events ends, when it is repeated, as the uninterrupted one."""

import os
import subprocess
import sys

import pytest

from tests.chaos.file_events import KILLED, FileEvents
from tests.chaos.trials import forked, sample

NUM_KILLS = "0" if os.environ.get("AISTA_FUZZ_EXAMPLES") else "1"  # 0: at every event, 1: at one of each kind


@pytest.mark.slow
def test_kills_change_nothing(tmp_path):
    command = [sys.executable, "-m", "tests.chaos", str(tmp_path), NUM_KILLS]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    print(result.stdout)


def change_files(folder):
    (folder / "new").mkdir()
    (folder / "new" / "file").write_text("0123456789")
    os.replace(folder / "new" / "file", folder / "file")
    (folder / "new").rmdir()
    (folder / "absent").unlink(missing_ok=True)
    (folder.parent / "elsewhere").write_text("")


@pytest.mark.parametrize(
    ("fatal", "left"),
    [
        ("mkdir new 1", {}),
        ("open new/file 1", {"new": None}),
        ("write new/file 1", {"new": None, "new/file": "01234"}),
        ("close new/file 1", {"new": None, "new/file": ""}),
        ("replace new/file 1", {"new": None, "new/file": "0123456789"}),
        ("rmdir new 1", {"new": None, "file": "0123456789"}),
    ],
)
def test_the_process_ends_at_its_event(tmp_path, fatal, left):
    folder = tmp_path / "watched"
    folder.mkdir()

    def child():
        FileEvents(folder, fatal).watch()
        change_files(folder)

    assert forked(child, tmp_path / "log") == KILLED
    found = {str(path.relative_to(folder)): path.read_text() if path.is_file() else None for path in folder.rglob("*")}
    assert found == left


def test_a_sample_has_every_kind():
    events = [f"{kind} {file} 1" for kind in ("open", "write") for file in range(50)] + ["rename a 1"]
    assert {event.split()[0] for event in sample(events, 6)} == {"open", "write", "rename"}
    assert len(sample(events, 6)) == 5
