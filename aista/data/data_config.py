"""The ``data`` section of a training config."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from aista.data.mix_config import MixConfig
from aista.data.row_tasks import TASKS
from aista.schema import Component, Options, component, option

__all__ = ["DataConfig"]


@dataclass(frozen=True, kw_only=True)
class DataConfig(Options):
    """Training data, and how rows become batches. Paths are relative to the current folder."""

    train: Path | None = option(None, "Manifest to train on.")
    stream: Component | None = component(
        "stream", None, "Shards to train on in place of a manifest, read while the model is trained."
    )
    dev: Path | None = option(None, "Manifest for validation and for choosing the best checkpoint.")
    test: Path | None = option(None, "Manifest for the final evaluation.")
    speech: tuple[Path, ...] = option(
        (), "Further manifests to train on, for tasks that use audio; stages do not inherit them.", inherit=False
    )
    text: tuple[Path, ...] = option(
        (), "Further manifests of which only the texts are used, to train a language model."
    )
    tasks: tuple[str, ...] = option(
        (),
        "Tasks that each training row is used for, if it has their fields: st (speech translation), asr, mt (text "
        "translation, also of `text`), cot (transcript, then translation). `mix: {by: task}` sets their shares; the "
        "first one is validated. Empty: translation of all rows. Stages do not inherit it.",
        choices=tuple(TASKS),
        inherit=False,
    )
    cot_marker: str = option("||", "Separates transcript and translation in the task cot.")
    mix: MixConfig | None = option(
        None,
        "Shares of an epoch for parts of the training rows; without it each row is read once per epoch. Stages do "
        "not inherit it.",
        inherit=False,
    )
    feature: Component = component("feature", "log_mel", "Turns waveforms into the encoder's input.")
    augmentation: Component | None = component("augmentation", None, "Changes training features at random.")
    source_language: str = option("", "Language of the speech, checked against src_lang; empty checks nothing.")
    target_language: str = option("", "Language of the translations, checked against tgt_lang; empty checks nothing.")
    max_seconds: float = option(30.0, "Longest utterance in seconds.", above=0)
    min_seconds: float = option(0.1, "Shortest utterance in seconds.", minimum=0)
    on_bad_rows: Literal["error", "drop"] = option("error", "Stop at bad rows, or drop them; both list them.")
    inspect: Literal["auto", "full", "headers", "sample", "trust"] = option(
        "auto",
        "Checks of the training rows before the first step: full (all rows, audio decoded to its end), headers (all "
        "rows, only headers of audio files), sample (10,000 rows), trust (only what the manifest states), or auto: "
        "full up to 200,000 rows and sample above.",
    )
    max_bad_rows: float = option(
        0.01,
        "Maximum fraction of bad rows found during training before it stops, where `inspect` left rows unchecked or "
        "they come from `stream`, and on_bad_rows is drop.",
        minimum=0,
        maximum=1,
    )
    batch_size: int = option(16, "Rows per batch, over all processes.", minimum=1, maximum=1_000_000)
    max_batch_seconds: float = option(
        0.0,
        "Maximum of the padded batch (longest row times rows, over all processes) in seconds; 0: no limit.",
        minimum=0,
    )
    max_batch_positions: int = option(
        0,
        "Maximum of the padded batch (longest row times rows, over all processes) in positions of the LLM: prompt, "
        "speech (or transcript) and translation; 0: no limit. Stages do not inherit it.",
        minimum=0,
        inherit=False,
    )
    length_noise: float = option(
        0.1,
        "Mixes lengths within batches: each length is scaled randomly by up to this fraction before sorting.",
        minimum=0,
        maximum=1,
    )
    num_workers: int = option(
        0, "Processes that decode ahead; 0 decodes in the training process.", minimum=0, maximum=1_000, weights=False
    )
    cache_features: bool = option(False, "Keep decoded features in memory (before augmentation).", weights=False)
    train_rows: int = option(
        0,
        "Train on this many rows of `train`, chosen by their ids, so that a smaller choice is a subset of a larger; 0: "
        "all.",
        minimum=0,
    )
    encoder_cache: Component | None = component(
        "encoder_cache",
        None,
        "Run a frozen encoder once per recording and keep its states; stages do not inherit it.",
        inherit=False,
    )
    shuffle_transcripts: bool = option(
        False,
        "Control: give each training row another row's transcript; dev and test are unchanged; stages do not "
        "inherit it.",
        inherit=False,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.stream is not None:
            self._check_stream(self.stream.name)
        if self.min_seconds > self.max_seconds:
            raise ValueError(
                f"min_seconds must not exceed max_seconds, got {self.min_seconds} and {self.max_seconds}; swap them"
            )
        if 0 < self.max_batch_seconds < self.max_seconds:
            raise ValueError(
                f"max_batch_seconds must hold one utterance of max_seconds, got {self.max_batch_seconds} and "
                f"{self.max_seconds}; raise the first or lower the second"
            )
        if self.cache_features and self.num_workers > 0:
            raise ValueError(
                f"cache_features needs num_workers 0, got num_workers {self.num_workers}; "
                "set num_workers: 0 or cache_features: false"
            )
        self._check_tasks()
        if self.mix is not None and self.length_noise == 0:
            raise ValueError(
                "mix reads rows of some parts several times an epoch, which length_noise keeps out of the same batch, "
                "got length_noise 0; raise it or remove mix"
            )
        if self.encoder_cache is not None and self.cache_features:
            raise ValueError("cache_features and encoder_cache exclude each other, got both; set cache_features: false")
        if self.encoder_cache is not None and self.inspect not in ("auto", "full"):
            raise ValueError(
                f"encoder_cache reads every recording before the first step, got inspect: {self.inspect}; set "
                "inspect: full"
            )
        if self.encoder_cache is not None and self.augmentation is not None:
            raise ValueError(
                f"encoder_cache keeps one sequence of states per recording, got the augmentation "
                f"{self.augmentation.name!r}, which changes the encoder's input in every epoch; remove one of them"
            )

    def _check_tasks(self) -> None:
        """Raise ValueError for what does not go with the tasks of rows."""
        if self.shuffle_transcripts and set(self.tasks) - {"st"}:
            raise ValueError(
                "shuffle_transcripts is a control of alignment, but tasks beside st read or write the transcript, got "
                f"tasks {', '.join(self.tasks)}; set tasks: [st], or shuffle_transcripts: false"
            )
        if not self.cot_marker.strip():
            raise ValueError(
                f"cot_marker stands between two texts, so it must be visible, got {self.cot_marker!r}; write for "
                "example ||"
            )
        if self.mix is not None and self.mix.by == "task" and not self.tasks:
            raise ValueError("mix by task needs tasks, got none; set data.tasks, or choose another mix.by")

    def _check_stream(self, name: str) -> None:
        """Raise ValueError for what needs all rows before the first step."""
        if self.train is not None:
            raise ValueError(f"train and stream exclude each other, got {self.train} and {name!r}; leave one out")
        refused = {
            "speech": "a stream is all that is trained on; write all manifests into one with `aista data shar`",
            "text": "a stream is all that is trained on; set data.train to a manifest",
            "tasks": "its rows are read once; set data.train to a manifest",
            "mix": "each shard is read once an epoch; set data.train and data.speech to manifests, which can be mixed",
            "encoder_cache": "it encodes every recording before the first step; remove it, or set data.train",
            "cache_features": "a stream keeps no row; set cache_features: false",
            "train_rows": "it chooses among all rows; write a stream of fewer with `aista data shar --rows N`",
            "shuffle_transcripts": "it needs all transcripts at once; set data.train to a manifest for this control",
        }
        for option_name, reason in refused.items():
            if value := getattr(self, option_name):
                shown = value.name if isinstance(value, Component) else value
                raise ValueError(f"{option_name} does not work with stream {name!r}, got {shown}: {reason}")
