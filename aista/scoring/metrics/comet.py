"""COMET through ``unbabel-comet`` in another interpreter."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from aista.errors import DataError
from aista.files import hash_file
from aista.hub import hub_name, local_files
from aista.hub_errors import HubError
from aista.registry import register
from aista.schema import Options, option, required
from aista.scoring.base import Metric, Statistics
from aista.scoring.comet_process import TRUST_VARIABLE, CometProcess, find_python
from aista.scoring.score_cache import ScoreCache, user_cache

__all__ = ["Comet", "CometConfig"]

log = logging.getLogger("aista.scoring")

SETTINGS, WEIGHTS = "hparams.yaml", "checkpoints/model.ckpt"


@dataclass(frozen=True, kw_only=True)
class CometConfig(Options):
    """Options of ``comet``."""

    model: Path = required(
        "Folder of a COMET model (hparams.yaml and checkpoints/model.ckpt), or its name on the hub: "
        "Unbabel/wmt22-comet-da, Unbabel/wmt22-cometkiwi-da."
    )
    references: bool = option(True, "Use the references; false: quality estimation by a model that does not need them.")
    batch_size: int = option(16, "Segments scored together; changes speed and memory.", minimum=1, maximum=4096)
    device: str = option("auto", "Where COMET runs; auto: a GPU if there is one.", choices=("auto", "cpu", "cuda"))
    label: str = option("comet", "Name of the score; with several models each needs one.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.label.isidentifier():
            raise ValueError(f"label: must be a name of letters, digits and _, got {self.label!r}")


@register("metric", "comet", config=CometConfig)
class Comet(Metric):
    """Mean COMET score of the segments times 100 (Rei et al., 2020): a neural metric of source and translation.

    Choose it beside BLEU or chrF where the model was trained on source and target language: it correlates better with
    human judgement. Compare only values of the same model. It needs the transcripts, and ``unbabel-comet`` in a
    separate environment, whose interpreter is given by the environment variable ``AISTA_COMET_PYTHON``.
    """

    higher_is_better = True
    needs = ("source",)

    def __init__(self, config: CometConfig) -> None:
        self.name = config.label
        self._config = config
        self._process = CometProcess(find_python())
        self._version = self._process.version()
        self._require_model()

    @property
    def signature(self) -> str:
        """The model by name and content, whether it sees references, the factor, and COMET's version."""
        name = hub_name(self._config.model) or self._config.model.resolve().name
        refs = "yes" if self._config.references else "no"
        return f"model:{name}|sha256:{self._sha256[:12]}|refs:{refs}|scale:100|version:comet-{self._version}"

    def statistics(
        self, hypotheses: Sequence[str], references: Sequence[str], source: Sequence[str] = ()
    ) -> Statistics:
        rows = [{"src": src, "mt": mt, "ref": ref} for src, mt, ref in zip(source, hypotheses, references, strict=True)]
        scores = np.array(self._scores(rows), dtype=np.float64)
        return np.stack([scores, np.ones_like(scores)], axis=1)

    def from_totals(self, totals: Statistics) -> float:
        return float(100 * totals[0] / totals[1])

    def _scores(self, rows: Sequence[dict[str, str]]) -> list[float]:
        keys = [self._key(row) for row in rows]
        known = self._cache.scores()
        missing = {key: row for key, row in zip(keys, rows, strict=True) if key not in known}
        if missing:
            log.info("%s: scoring %d segments, %d are known", self.name, len(missing), len(set(keys)) - len(missing))
            request = {
                "checkpoint": str(self._folder / WEIGHTS),
                "batch_size": self._config.batch_size,
                "device": self._config.device,
                "sha256": self._sha256,
                "trust": self._sha256 in os.environ.get(TRUST_VARIABLE, "").split(","),
                "references": self._config.references,
            }
            scores = self._process.scores(request, list(missing.values()))
            self._cache.add(dict(zip(missing, scores, strict=True)))
        return [self._cache.scores()[key] for key in keys]

    def _key(self, row: dict[str, str]) -> str:
        seen = [row["src"], row["mt"], row["ref"] if self._config.references else None]
        content: list[Any] = [self._sha256, self._version, *seen]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def _require_model(self) -> None:
        """Raise an error for a missing model when the metric is built, not after hours of decoding."""
        try:
            folder = local_files(self._config.model, SETTINGS, later=(WEIGHTS,))
        except HubError as error:
            raise ValueError(f"model: {error}") from error
        if hub_name(self._config.model) is None:
            lacking = [file for file in (SETTINGS, WEIGHTS) if not (folder / file).is_file()]
            if lacking:
                raise ValueError(
                    f"model: {folder} must be a name on the hub or a folder with {SETTINGS} and {WEIGHTS}, and has no "
                    f"{' and no '.join(lacking)}"
                )

    @cached_property
    def _folder(self) -> Path:
        try:
            return local_files(self._config.model, SETTINGS, WEIGHTS).resolve()
        except HubError as error:
            raise DataError(f"{self.name}: {error}") from error

    @cached_property
    def _sha256(self) -> str:
        return hash_file(self._folder / WEIGHTS)

    @cached_property
    def _cache(self) -> ScoreCache:
        return ScoreCache(user_cache() / "comet" / self._sha256[:16])
