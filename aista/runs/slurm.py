"""Jobs on a Slurm cluster, through submitit."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from aista.console import say
from aista.errors import AistaError
from aista.extras import require
from aista.runs.jobs import Job

__all__ = ["run_on_cluster"]


def run_on_cluster(
    jobs: Sequence[Job], console: Console, *, folder: Path, options: Mapping[str, Any], poll_seconds: float = 2.0
) -> dict[Job, int]:
    """Submit every job and wait for all of them.

    Args:
        jobs: Jobs to run; the cluster's machines must see the same files under the same paths.
        console: For the ids and results of the jobs.
        folder: For submitit's scripts and logs.
        options: ``cluster`` (slurm, or local to try it on this machine) and submitit's parameters, e.g.
            ``timeout_min``, ``slurm_partition``, ``gpus_per_node``.
        poll_seconds: Seconds between polls of the queue.

    Returns:
        The failed jobs with their exit codes; -1 where the cluster lost or killed the job.

    Raises:
        AistaError: submitit is not installed, or refuses a parameter.
    """
    # Otherwise its import configures logging anew, which closes every handler of this process; that of absl, which JAX
    # brings, closes the stream it writes to as well.
    os.environ.setdefault("SUBMITIT_LOG_LEVEL", "NOCONFIG")
    submitit = require("submitit", "--slurm")
    parameters = dict(options)
    try:
        executor = submitit.AutoExecutor(folder=folder, cluster=parameters.pop("cluster", "slurm"))
        executor.update_parameters(**parameters)
    except (RuntimeError, NameError, TypeError, ValueError) as error:
        raise AistaError(f"--slurm: submitit refuses {dict(options)}: {error}") from error
    waiting = {job: executor.submit(_run, job) for job in jobs}
    for job, submitted in waiting.items():
        say(f"{job.label}: job {submitted.job_id}", console.file)
    failed: dict[Job, int] = {}
    while waiting:
        for job, submitted in list(waiting.items()):
            if submitted.done():
                del waiting[job]
                code = -1 if submitted.exception() is not None else int(submitted.result())
                if code:
                    failed[job] = code
                say(f"{job.label}: {f'failed ({code})' if code else 'done'}", console.file)
        if waiting:
            time.sleep(poll_seconds)
    return failed


def _run(job: Job) -> int:
    return job.start().wait()
