"""Weights & Biases."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aista.errors import AistaError, RunError
from aista.registry import register
from aista.schema import Options, option
from aista.tracking.base import RunDescription, Status, TrackedRun, Tracker

__all__ = ["Wandb"]

OPEN_SECONDS = 20.0
CLOSE_SECONDS = 60.0
_NOT_ONLINE = ("offline", "dryrun", "disabled")


@register("tracker", "wandb")
@dataclass(frozen=True, kw_only=True)
class Wandb(Options, Tracker):
    """Weights & Biases, with charts over the training step, the config and system metrics.

    The key comes from ``wandb login`` or ``WANDB_API_KEY``, never from a config. With ``WANDB_MODE=offline`` the run is
    written to ``RUN/tracking/wandb`` and sent later by ``wandb sync``. A resumed run has the records after its
    checkpoint twice. Choose it where a team compares runs in a browser and has no server of its own.
    """

    project: str = option("aista", "Project.")
    entity: str = option("", "User or team; empty: the default of the account.")
    name: str = option("", "Name of the run; empty: that of its folder.")
    group: str = option("", "Group of runs that are shown together.")
    tags: tuple[str, ...] = option((), "Tags of the run.")

    @property
    def place(self) -> str:
        return f"{self.entity}/{self.project}".lstrip("/")

    def check(self) -> None:
        import wandb

        if os.environ.get("WANDB_MODE", "online") in _NOT_ONLINE:
            return
        try:
            reason = "" if wandb.login(prompt=False, verify=False) else "no key for it is known"
        except Exception as error:  # of a malformed key or setting
            reason = " ".join(str(error).split())
        if reason:
            raise AistaError(
                f"W&B cannot be used: {reason}; run `wandb login`, set WANDB_API_KEY, or set WANDB_MODE=offline to "
                "send the run later"
            )

    def open(self, run: RunDescription) -> TrackedRun:
        return _WandbRun(self, run)


class _WandbRun(TrackedRun):
    def __init__(self, options: Wandb, run: RunDescription) -> None:
        import wandb

        settings = wandb.Settings(
            silent=True,
            console="off",  # the run has its own log
            save_code=False,
            disable_git=True,  # the address of a remote can hold a token; the commit is in the config's environment
            init_timeout=OPEN_SECONDS,
            finish_timeout=CLOSE_SECONDS,
            finish_timeout_raises=True,
        )
        self._run: Any = wandb.init(
            project=options.project,
            entity=options.entity or None,
            name=options.name or run.name,
            group=options.group or None,
            tags=options.tags or None,
            dir=str(run.folder),
            id=run.id or None,
            resume="allow",
            settings=settings,
        )
        if run.config is not None:
            self._run.config.update(dict(run.config), allow_val_change=True)
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")
        self.id = self._run.id
        self.link = "" if self._run.offline or self._run.disabled else self._run.url or ""

    def log(self, values: Mapping[str, float], step: int) -> None:
        # Without W&B's own step, which may not fall: a resumed run repeats the steps behind its checkpoint.
        self._run.log({**values, "step": step})

    def note(self, name: str, text: str, step: int) -> None:
        self._run.summary[name] = text

    def close(self, status: Status | None) -> None:
        try:
            self._run.finish(exit_code=1 if status == "failed" else 0)
        except TimeoutError as error:
            folder = self._run.settings.sync_dir
            raise RunError(
                f"not all was uploaded within {CLOSE_SECONDS:.0f} s; `wandb sync {folder}` sends it"
            ) from error
