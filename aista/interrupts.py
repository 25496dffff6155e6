"""How a process ends before its work is done: by SIGTERM, or because the process that started it is gone."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

__all__ = ["PARENT", "SECONDS_TO_END", "Terminated", "end_with_parent", "sigterm_raised"]

PARENT = "AISTA_PARENT"
"""The environment variable by which a process tells one that it starts to end when it does: its own id."""
SECONDS_TO_END = 30.0
"""What a process gets to end after SIGTERM, before it is killed."""


class Terminated(KeyboardInterrupt):
    """SIGTERM, handled like an interrupt: started processes end too, and half-written files are removed."""

    exit_code = 128 + signal.SIGTERM


@contextmanager
def sigterm_raised() -> Iterator[None]:
    """Raise ``Terminated`` in the block where SIGTERM comes; threads but the main one cannot."""

    def terminate(number: int, frame: object) -> NoReturn:
        raise Terminated

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def end_with_parent() -> None:
    """Where ``PARENT`` asks for it: leave Ctrl-C to the parent, and send this process SIGTERM when the parent is gone.

    Even SIGKILL, to which no process can react, thus leaves nothing running.
    """
    parent = os.environ.pop(PARENT, "")  # the processes that this one starts have another
    if parent.isdecimal():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        threading.Thread(target=_watch, args=(int(parent),), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1.0)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(SECONDS_TO_END)
    os.kill(os.getpid(), signal.SIGKILL)
