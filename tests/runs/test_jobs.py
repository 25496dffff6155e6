"""Jobs that others work on come last; jobs end with the process that started them."""

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from rich.console import Console

from aista.runs.jobs import Job, JobFiles, run_jobs


def jobs(folder, *names):
    program = "import sys; open(sys.argv[1], 'a').write(sys.argv[2] + '\\n')"
    return [
        Job(name, folder / name, JobFiles(folder / f"{name}.yaml"), 1, ("-c", program, str(folder / "done"), name))
        for name in names
    ]


def test_what_another_process_holds_is_started_when_it_lets_go(tmp_path):
    first, second, third = jobs(tmp_path, "first", "second", "third")
    with first.files.lock.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        assert first.is_locked()
        assert not second.is_locked()
        sweep = threading.Thread(
            target=run_jobs, args=([first, second, third], Console(quiet=True)), kwargs={"num_parallel": 1}
        )
        sweep.start()
        while not (tmp_path / "done").is_file() or (tmp_path / "done").read_text() != "second\nthird\n":
            assert sweep.is_alive()
            time.sleep(0.05)
        assert sweep.is_alive()
    sweep.join()
    assert (tmp_path / "done").read_text() == "second\nthird\nfirst\n"


def test_a_lock_that_nobody_holds_stops_nobody(tmp_path):
    (job,) = jobs(tmp_path, "alone")
    job.files.lock.touch()
    assert run_jobs([job], Console(quiet=True), num_parallel=1) == {}
    assert (tmp_path / "done").read_text() == "alone\n"


GPU = """
import os, sys, time
from pathlib import Path

folder, name, awaited = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
while awaited and not (folder / awaited).is_file():
    time.sleep(0.05)
(folder / name).write_text(os.environ["CUDA_VISIBLE_DEVICES"])
"""


def gpus_of(folder, num_parallel, **jobs):
    """What jobs see that wait for others: name -> CUDA_VISIBLE_DEVICES."""
    waiting = [
        Job(name, folder / f"run_{name}", JobFiles(folder / f"{name}.yaml"), 1, ("-c", GPU, str(folder), name, awaited))
        for name, awaited in jobs.items()
    ]
    assert run_jobs(waiting, Console(quiet=True), num_parallel=num_parallel, keep_going=True) == {}
    return [(folder / name).read_text() for name in jobs]


def test_jobs_side_by_side_take_the_gpus_in_turn(tmp_path, monkeypatch):
    monkeypatch.setattr("aista.runs.jobs.visible_gpus", lambda: ("GPU-5e", "2"))
    assert gpus_of(tmp_path, 3, a="b", b="c", c="") == ["GPU-5e", "2", "GPU-5e"]


def test_a_job_takes_the_gpu_of_the_one_that_ended(tmp_path, monkeypatch):
    monkeypatch.setattr("aista.runs.jobs.visible_gpus", lambda: ("GPU-5e", "2"))
    assert gpus_of(tmp_path, 0, a="d", b="", c="", d="") == ["GPU-5e", "2", "2", "2"]


def test_without_gpus_jobs_see_what_their_parent_sees(tmp_path, monkeypatch):
    monkeypatch.setattr("aista.runs.jobs.visible_gpus", lambda: ())
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert gpus_of(tmp_path, 1, a="") == ["-1"]


WORKING = """
import sys, types
from pathlib import Path
from rich.console import Console
from aista.cli.main import main
from aista.runs.jobs import Job, JobFiles, run_jobs

folder = Path(sys.argv[1])
program = "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(600)"

def run(args):
    jobs = [Job(n, folder / n, JobFiles(folder / f"{n}.yaml"), 1, ("-c", program, str(folder / n))) for n in "ab"]
    run_jobs(jobs, Console(quiet=True), num_parallel=2)

sys.modules["aista.cli.list"] = types.SimpleNamespace(add_arguments=lambda parser: None, run=run)
sys.exit(main(["list"]))
"""


def test_sigterm_ends_the_workers_too(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", WORKING, str(tmp_path)], stderr=subprocess.PIPE, text=True)
    files = [tmp_path / name for name in "ab"]
    while not all(file.is_file() and file.read_text() for file in files):
        assert process.poll() is None
        time.sleep(0.05)
    process.terminate()
    _, printed = process.communicate()
    assert (process.returncode, printed) == (143, "aista: terminated (SIGTERM)\n")
    for file in files:
        with pytest.raises(ProcessLookupError):
            os.kill(int(file.read_text()), 0)


FOLLOWING = """
import os, sys, time
from aista.interrupts import Terminated, end_with_parent, sigterm_raised

with open(sys.argv[1], "w") as said, sigterm_raised():
    end_with_parent()
    print(os.getpid(), file=said, flush=True)
    try:
        time.sleep(60)
    except BaseException as end:
        print(type(end).__name__, file=said)
"""
STARTING = """
import sys
from pathlib import Path
from aista.runs.jobs import Job, JobFiles

folder = Path(sys.argv[1])
Job("a", folder, JobFiles(folder / "a.yaml"), 1, ("-c", sys.argv[2], str(folder / "said"))).start().wait()
"""


def test_a_job_ends_when_its_parent_is_killed_and_leaves_ctrl_c_to_it(tmp_path):
    os.mkfifo(tmp_path / "said")
    parent = subprocess.Popen([sys.executable, "-c", STARTING, str(tmp_path), FOLLOWING])
    with (tmp_path / "said").open() as said:
        os.kill(int(said.readline()), signal.SIGINT)
        parent.kill()
        assert said.read() == "Terminated\n"
    parent.wait()
