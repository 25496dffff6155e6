"""Trains in several processes that share what was imported before they start."""

import os

from aista.engine.training.train import train
from aista.engine.training.units import TaskTrainUnit
from aista.errors import AistaError
from aista.tasks.experiment import load_experiment
from tests.processes import in_ranks


def in_processes(number, config, run, *overrides, stop_before=0, exit_code=0):
    """Train in ``number`` processes, which end as if killed before the step ``stop_before``, if one is named.

    Each ends with the exit code; what aista tells as an error is in the run folder, ``error_RANK``.
    """
    in_ranks(number, _train, config, run, overrides, stop_before, exit_code=exit_code)


def _train(rank, config, run, overrides, stop_before):
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
