"""The cluster's library in this process."""

import subprocess
import sys
from importlib.util import find_spec

import pytest

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
