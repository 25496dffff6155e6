"""The cluster's library in this process."""

import subprocess
import sys
from importlib.util import find_spec

import pytest
from rich.console import Console

from aista.runs.jobs import Job, JobFiles
from aista.runs.slurm import run_on_cluster

CLOSED = """
import logging, sys
from pathlib import Path
from rich.console import Console
from aista.runs.slurm import run_on_cluster

class Handler(logging.Handler):
    def close(self):
        print("closed")

handler = Handler()
assert run_on_cluster([], Console(), folder=Path(sys.argv[1]), options={"cluster": "local"}) == {}
assert "submitit" in sys.modules
print("done")
"""


@pytest.mark.skipif(find_spec("submitit") is None, reason="submitit is not installed")
def test_submitit_leaves_the_logging_of_others_alone(tmp_path, monkeypatch):
    monkeypatch.delenv("SUBMITIT_LOG_LEVEL", raising=False)
    run = subprocess.run([sys.executable, "-c", CLOSED, str(tmp_path)], capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (0, "done\nclosed\n")  # closed when the process ends, not before


@pytest.mark.slow
@pytest.mark.skipif(find_spec("submitit") is None, reason="submitit is not installed")
def test_the_cluster_runs_the_jobs_and_says_which_failed(tmp_path, capfd):
    program = "import sys; open(sys.argv[1], 'w').close(); sys.exit(int(sys.argv[2]))"
    jobs = [
        Job(name, tmp_path / name, JobFiles(tmp_path / f"{name}.yaml"), 1, ("-c", program, str(tmp_path / name), code))
        for name, code in (("good", "0"), ("bad", "3"))
    ]
    options = {"cluster": "local", "timeout_min": 60}
    failed = run_on_cluster(jobs, Console(), folder=tmp_path / "slurm", options=options, poll_seconds=0.1)
    assert failed == {jobs[1]: 3}
    assert (tmp_path / "good").exists()
    printed = capfd.readouterr().out
    assert "good: done" in printed
    assert "bad: failed (3)" in printed
