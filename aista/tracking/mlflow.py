"""MLflow."""

from __future__ import annotations

import importlib.util
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from aista.errors import AistaError
from aista.extras import needs
from aista.registry import register
from aista.schema import Options, option
from aista.tracking.base import RunDescription, Status, TrackedRun, Tracker, without_credentials

__all__ = ["MLflow"]

# MLflow retries a request for minutes, and training would wait for it; and it sends its usage to its makers.
_DEFAULTS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
_MOST = 100  # parameters of one request
_LONGEST = 6000  # characters of a parameter


@register("tracker", "mlflow")
@dataclass(frozen=True, kw_only=True)
class MLflow(Options, Tracker):
    """MLflow, on a tracking server or in a folder; install it with ``pip install 'aista[mlflow]'``.

    Credentials come from the environment (``MLFLOW_TRACKING_USERNAME`` and ``_PASSWORD``, ``MLFLOW_TRACKING_TOKEN``),
    never from a config. A folder of files needs ``MLFLOW_ALLOW_FILE_STORE=true``: MLflow keeps that layout, but no
    longer extends it. A resumed run has the records after its checkpoint twice. Choose it where you already have a
    tracking server.
    """

    uri: str = option("", "Tracking server, http://HOST:PORT, or a folder; empty: MLFLOW_TRACKING_URI.")
    experiment: str = option("aista", "Experiment; created if missing.")
    name: str = option("", "Name of the run; empty: that of its folder.")
    tags: dict[str, str] = option({}, "Tags of the run, by name.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if without_credentials(self.uri) != self.uri:
            raise ValueError(
                f"uri must hold no credentials, got one with some for {urlsplit(self.uri).hostname}; set "
                "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
            )

    @property
    def place(self) -> str:
        return f"{without_credentials(self._uri)} {self.experiment}"

    @property
    def _uri(self) -> str:
        return self.uri or os.environ.get("MLFLOW_TRACKING_URI", "")

    def check(self) -> None:
        if not self._uri:
            raise AistaError("names no tracking server; set config.uri, or MLFLOW_TRACKING_URI")
        if importlib.util.find_spec("mlflow") is None:
            raise AistaError(needs("mlflow"))
        try:
            self.client()
        except Exception as error:  # of an unknown scheme, a folder that cannot be made
            reason = without_credentials(" ".join(str(error).split()))
            raise AistaError(f"{reason.rstrip('.')}; a database needs `pip install mlflow`, or a server") from error

    def client(self) -> Any:
        """MLflow's client; asks no network."""
        for name, value in _DEFAULTS.items():
            os.environ.setdefault(name, value)
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=self._uri)

    def open(self, run: RunDescription) -> TrackedRun:
        return _MLflowRun(self, run)


class _MLflowRun(TrackedRun):
    def __init__(self, options: MLflow, run: RunDescription) -> None:
        self._client = options.client()
        parameters = {} if run.config is None else dict(_flat(run.config))
        if run.id:
            there = self._client.get_run(run.id)
            experiment = there.info.experiment_id
            # Parameters of a run never change; a raised trainer.max_steps does.
            changed = {name: text for name, text in parameters.items() if there.data.params.get(name, text) != text}
            parameters = {name: text for name, text in parameters.items() if name not in there.data.params}
            for name, text in changed.items():
                self._client.set_tag(run.id, f"changed.{name}", text)
            if run.config is not None:
                self._client.update_run(run.id, status="RUNNING")
        else:
            found = self._client.get_experiment_by_name(options.experiment)
            experiment = found.experiment_id if found else self._client.create_experiment(options.experiment)
            there = self._client.create_run(experiment, run_name=options.name or run.name, tags=options.tags)
        self.id = there.info.run_id
        self._log_parameters(list(parameters.items()))
        uri = without_credentials(self._client.tracking_uri)
        is_server = uri.startswith(("http://", "https://"))
        self.link = f"{uri.rstrip('/')}/#/experiments/{experiment}/runs/{self.id}" if is_server else ""

    def _log_parameters(self, parameters: Sequence[tuple[str, str]]) -> None:
        from mlflow.entities import Param

        for start in range(0, len(parameters), _MOST):
            batch = [Param(name, text) for name, text in parameters[start : start + _MOST]]
            self._client.log_batch(self.id, params=batch)

    def log(self, values: Mapping[str, float], step: int) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [Metric(_name(name), value, now, step) for name, value in values.items()]
        self._client.log_batch(self.id, metrics=metrics)

    def note(self, name: str, text: str, step: int) -> None:
        self._client.set_tag(self.id, _name(name), text)

    def close(self, status: Status | None) -> None:
        if status is not None:
            self._client.set_terminated(self.id, status="FINISHED" if status == "finished" else "FAILED")


def _name(text: str) -> str:
    """A name valid in MLflow; other characters become ``.`` and their bytes in hexadecimal."""
    return quote(text, safe="/ :").replace("%", ".")


def _flat(value: Any, at: str = "") -> Iterator[tuple[str, str]]:
    """Each option by its path, ``alignment.0.name``; lists of plain values as one."""
    items: Iterator[tuple[Any, Any]] | None = None
    if isinstance(value, Mapping):
        items = iter(value.items())
    elif isinstance(value, list) and any(isinstance(item, (Mapping, list)) for item in value):
        items = iter(enumerate(value))
    if items is None or not value:
        text = value if isinstance(value, str) else json.dumps(value)
        long = f"{text[: _LONGEST - 100]}... ({len(text):,} characters)"
        yield _name(at), text if len(text) <= _LONGEST else long
        return
    for key, item in items:
        yield from _flat(item, f"{at}.{key}" if at else str(key))
