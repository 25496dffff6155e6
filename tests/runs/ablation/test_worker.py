"""The process of one run: what ends it, and what it leaves."""

import os
import signal

import pytest

from aista.errors import RunError
from aista.locks import is_locked
from aista.runs.ablation import worker
from aista.runs.jobs import JobFiles


@pytest.fixture
def work(tmp_path, monkeypatch):
    """Run a worker whose training is the function given; returns its exit code and the job's files."""

    def work(train):
        monkeypatch.setattr(worker, "load_experiment", lambda config: config)
        monkeypatch.setattr(worker, "train", lambda experiment, folder: train())
        files = JobFiles(tmp_path / "job.yaml")
        return worker.main([str(tmp_path / "run"), "--config", str(files.config)]), files

    return work


def test_sigterm_is_no_failure(work, capsys):
    code, files = work(lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert (code, capsys.readouterr().err) == (143, "terminated (SIGTERM)\n")
    assert not files.failure.exists()
    assert not is_locked(files.lock)


def test_an_error_is_left_where_the_sweep_reads_it(work):
    def fail():
        raise RunError("no room")

    code, files = work(fail)
    assert (code, files.failure.read_text()) == (1, "no room\n")
