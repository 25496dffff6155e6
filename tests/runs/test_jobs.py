"""Jobs that others work on come last."""

import fcntl
import os
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
