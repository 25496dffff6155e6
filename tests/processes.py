"""Processes that have imported what trains, decodes and probes before they start: one server forks them all.

A new interpreter spends about ten times as long on these imports as on a training of the tests.
"""

import gc
import multiprocessing
import os
import runpy
import socket
import subprocess
import sys
from contextlib import contextmanager
from types import SimpleNamespace
from unittest.mock import patch

import torch

from aista.interrupts import PARENT

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        __name__,
        "aista.engine.training.recipe",
        "aista.engine.training.train",
        "aista.engine.inference.evaluate",
        "aista.engine.inference.probe",
        "aista.cli.main",
        "peft",
    ]
)


class Python:
    """``python -m MODULE ...``: what ``subprocess.Popen`` of it is to its caller, but forked from the server.

    Args:
        command: The interpreter, which must be this one, ``-m``, a module and its arguments.
        stdout: Open for writing; the process' output and errors are added to the file of its name.
        env: All of its environment; None for this process'.
        start_new_session: As in ``Popen``.
    """

    __class_getitem__ = classmethod(lambda cls, _: cls)  # Popen[bytes]

    def __init__(self, command, *, stdout, env=None, start_new_session=False, **_):
        assert command[:2] == [sys.executable, "-m"]
        arguments = (command[2:], os.path.abspath(stdout.name), dict(env or os.environ), start_new_session)
        self._process = CONTEXT.Process(target=_run, args=arguments)
        self._process.start()
        self.pid = self._process.pid
        self.terminate, self.kill = self._process.terminate, self._process.kill

    def poll(self):
        return self._process.exitcode

    def wait(self, timeout=None):
        self._process.join(timeout)
        if self.poll() is None:
            raise subprocess.TimeoutExpired("python", timeout)
        return self.poll()


def in_ranks(number, function, *arguments, exit_code=0):
    """Run ``function(rank, *arguments)`` in processes that find each other as those of torchrun do.

    Args:
        number: How many.
        function: Of a module that the server can import.
        arguments: Its further arguments.
        exit_code: With which each must end.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    processes = [
        CONTEXT.Process(target=_rank, args=(rank, number, port, function, arguments)) for rank in range(number)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == exit_code


def _rank(rank, number, port, function, arguments):
    gc.freeze()
    ranks = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": number, "LOCAL_WORLD_SIZE": number}
    os.environ |= {name: str(value) for name, value in ranks.items()}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    function(rank, *arguments)


@contextmanager
def preloaded_jobs():
    """Jobs of a sweep and of the quickstart are forked from the server."""
    with patch("aista.runs.jobs.subprocess", SimpleNamespace(**vars(subprocess) | {"Popen": Python})):
        yield


def _run(arguments, log, env, start_new_session):
    gc.freeze()  # what the server imported: each training collects garbage
    if start_new_session:
        os.setsid()
    os.environ.clear()
    os.environ.update(env)
    if PARENT in env:
        os.environ[PARENT] = str(os.getppid())  # the server, which outlives who asked
    stream = os.open(log, os.O_WRONLY | os.O_APPEND)
    os.dup2(stream, 1)
    os.dup2(stream, 2)
    torch.set_num_threads(int(env.get("OMP_NUM_THREADS", 1)))  # read at the import, which was earlier
    sys.argv = arguments
    runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
