"""The decorator of fuzz tests: how many examples they draw, and how long one may take."""

import contextlib
import functools
import importlib
import os
import pkgutil
import shutil
import signal

from hypothesis import HealthCheck, given, settings

import aista

PATIENCE = 2.0  # seconds of processor time, whatever else runs on the machine

_EXAMPLES = int(os.environ.get("AISTA_FUZZ_EXAMPLES", 0))
_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile("ci", derandomize=True, database=None, deadline=None, suppress_health_check=_SLOW)
settings.register_profile(
    "fuzz", max_examples=_EXAMPLES or 1, deadline=None, suppress_health_check=_SLOW, print_blob=True
)


class HangError(Exception):
    """An example took longer than it may; the traceback shows where it was."""


def fuzzed(*, examples, patience=PATIENCE, **strategies):
    """Make a test of a function: it is called with drawn values of ``strategies``, within ``patience`` s each."""

    def decorate(test):
        @functools.wraps(test)
        def example(**values):
            if "folder" in values:
                _empty(values["folder"])
            with time_limit(patience):
                test(**values)

        profile = settings.get_profile("fuzz" if _EXAMPLES else "ci")
        count = _EXAMPLES or examples
        return settings(profile, max_examples=count)(given(**strategies)(example))

    return decorate


@contextlib.contextmanager
def time_limit(seconds):
    """Raise ``HangError`` where the block uses more processor time than ``seconds``, or thirty times as long."""

    rang = []

    def stop(signum, frame):
        rang.append(signum)
        raise HangError(f"more than {seconds:g} s ({signal.Signals(signum).name})")

    timers = {signal.ITIMER_PROF: (signal.SIGPROF, seconds), signal.ITIMER_REAL: (signal.SIGALRM, 30 * seconds)}
    before = {number: signal.signal(number, stop) for number, _ in timers.values()}
    try:
        for timer, (_, limit) in timers.items():
            signal.setitimer(timer, limit)
        yield
    finally:
        for timer in timers:
            signal.setitimer(timer, 0)
        for number, handler in before.items():
            signal.signal(number, handler)
    if rang:
        raise HangError("it went on after that")


def _empty(folder):
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def import_all():
    """Import all of aista."""
    for module in pkgutil.walk_packages(aista.__path__, "aista."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
