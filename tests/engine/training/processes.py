"""Trains in several processes that share what was imported before they start."""

import multiprocessing
import os
import socket

from aista.engine.training.train import train
from aista.engine.training.units import TaskTrainUnit
from aista.errors import AistaError
from aista.tasks.experiment import load_experiment


def in_processes(number, config, run, *overrides, stop_before=0, exit_code=0):
    """Train in ``number`` processes, which end as if killed before the step ``stop_before``, if one is named.

    Each ends with the exit code; what aista tells as an error is in the run folder, ``error_RANK``.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "aista.engine.training.recipe", "peft"])
    arguments = (number, port, config, run, overrides, stop_before)
    processes = [context.Process(target=_train, args=(rank, *arguments)) for rank in range(number)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=300)
        assert process.exitcode == exit_code


def _train(rank, number, port, config, run, overrides, stop_before):
    ranks = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": number, "LOCAL_WORLD_SIZE": number}
    os.environ |= {name: str(value) for name, value in ranks.items()}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    set_step = TaskTrainUnit.set_step_nr

    def stop(unit, step):
        if step == stop_before:
            os._exit(0)
        set_step(unit, step)

    TaskTrainUnit.set_step_nr = stop
    try:
        train(load_experiment(config, overrides), run)
    except AistaError as error:
        (run / f"error_{rank}").write_text(str(error))
        raise SystemExit(error.exit_code) from error
