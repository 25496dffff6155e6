"""Jobs that others work on come last."""

import fcntl
import threading
import time

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
        deadline = time.monotonic() + 60
        while not (tmp_path / "done").is_file() or (tmp_path / "done").read_text() != "second\nthird\n":
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert sweep.is_alive()
    sweep.join(60)
    assert (tmp_path / "done").read_text() == "second\nthird\nfirst\n"


def test_a_lock_that_nobody_holds_stops_nobody(tmp_path):
    (job,) = jobs(tmp_path, "alone")
    job.files.lock.touch()
    assert run_jobs([job], Console(quiet=True), num_parallel=1) == {}
    assert (tmp_path / "done").read_text() == "alone\n"
