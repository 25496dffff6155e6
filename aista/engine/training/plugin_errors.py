"""Turns errors of a plug-in during training into one message with its file and line."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from aista import registry
from aista.errors import AistaError, PluginError
from aista.plain import to_plain
from aista.plugin_faults import blame, described, is_foreign, where
from aista.tasks.components import used_components
from aista.tasks.experiment import Experiment
from aista.testing import contracts

__all__ = ["plugin_errors"]

log = logging.getLogger("aista.train")


@contextmanager
def plugin_errors(experiment: Experiment) -> Iterator[None]:
    """Raise PluginError where a plug-in is at fault for what ends the block; any other exception passes as it is.

    The innermost line of a plug-in in the traceback is the place. Where there is none, since others stumbled over what
    a plug-in returned, the contracts of the plug-ins in use tell. The log file of this process holds the traceback.
    """
    try:
        yield
    except (AistaError, OSError):
        raise
    except Exception as error:
        fault = blame(error) or _broken_contract(experiment, error)
        if fault is None:
            raise
        _log_to_file(error)
        raise fault from error


def _broken_contract(experiment: Experiment, error: Exception) -> PluginError | None:
    for kind, spec in used_components(experiment):
        factory = registry.get(kind, spec.name).factory
        if not is_foreign(factory):
            continue
        for outcome in contracts.run(kind, spec.name, to_plain(spec.config)):
            if outcome.status == "FAIL":
                seen = described(error)
                stop = "" if outcome.reason.endswith(seen) else f"; training stopped with {seen}"
                return PluginError(f"{outcome.reason} (contract {outcome.contract}{stop})", check=where(factory).file)
    return None


def _log_to_file(error: Exception) -> None:
    """Write the traceback to log files only; the terminal gets just the message."""
    trace = (type(error), error, error.__traceback__)
    record = log.makeRecord(log.name, logging.ERROR, __file__, 0, "a plug-in ended the training", (), trace)
    for handler in logging.getLogger("aista").handlers:
        if isinstance(handler, logging.FileHandler):
            handler.handle(record)
