"""Options of training and evaluation that every task shares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from aista.modules.llms.base import GenerationConfig
from aista.schema import Component, Options, components, option, required, section

__all__ = ["EvaluationConfig", "ParameterGroup", "TrainerConfig"]


@dataclass(frozen=True, kw_only=True)
class ParameterGroup(Options):
    """Parameters with a learning rate of their own."""

    params: str = required("Regular expression matched against parameter names, e.g. 'llm\\..*'.")
    learning_rate: float = required("Peak learning rate of the group.", above=0)


@dataclass(frozen=True, kw_only=True)
class TrainerConfig(Options):
    """Options of training (AdamW; fairseq2's Trainer)."""

    max_steps: int = option(1000, "Optimiser steps.", minimum=1)
    learning_rate: float = option(1e-3, "Peak learning rate.", above=0)
    parameter_groups: tuple[ParameterGroup, ...] = option(
        (), "Groups with other learning rates; first match wins.", inherit=False
    )
    betas: tuple[float, float] = option((0.9, 0.98), "AdamW's running-average coefficients.")
    weight_decay: float = option(0.0, "AdamW's decoupled weight decay.", minimum=0)
    schedule: Literal["constant", "cosine", "inverse_sqrt"] = option("cosine", "Learning rate after the warm-up.")
    warmup_steps: int = option(0, "Steps of linear learning-rate warm-up.", minimum=0)
    final_scale: float = option(
        0.05, "Cosine: learning rate at the end, as a fraction of the peak.", minimum=0, maximum=1
    )
    max_grad_norm: float = option(1.0, "Gradient-norm clipping; 0 turns it off.", minimum=0)
    max_skipped_steps: int = option(
        0, "Maximum number of steps with a non-finite gradient norm that a run skips before it ends.", minimum=0
    )
    grad_accumulation: int = option(1, "Gradient accumulation: batches per optimiser step.", minimum=1)
    activation_checkpointing: bool = option(False, "Recompute block activations in the backward pass to save memory.")
    mixed_precision: Literal["off", "bfloat16", "auto"] = option(
        "off", "Autocast dtype; auto: bfloat16 where the device is faster in it. Alignment stays in float32."
    )
    data_parallelism: Literal["ddp", "fsdp"] = option("ddp", "How several processes share the model (FSDP2).")
    log_every: int = option(10, "Steps between metric records.", minimum=1)
    validate_every: int = option(0, "Steps between validations; 0 validates at the end only.", minimum=0)
    checkpoint_every: int = option(0, "Steps between checkpoints; 0 saves at the end only.", minimum=0)
    keep_last: int = option(1, "Number of newest checkpoints to keep.", minimum=1, weights=False)
    keep_best: int = option(0, "Number of best-scoring checkpoints to keep as well; 0: none.", minimum=0)
    early_stopping_patience: int = option(
        0, "Validations without a better score before training stops; 0: never.", minimum=0
    )
    tracking: tuple[Component, ...] = components(
        "tracker", "Experiment trackers that metrics are sent to as well.", weights=False
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("validate_every", "checkpoint_every"):
            if getattr(self, name) % self.log_every:
                raise ValueError(f"{name} ({getattr(self, name)}) must be a multiple of log_every ({self.log_every})")
        if self.keep_best and (not self.validate_every or self.checkpoint_every % self.validate_every):
            raise ValueError(
                "keep_best needs validate_every, and checkpoint_every must be a multiple of it; got "
                f"validate_every {self.validate_every}, checkpoint_every {self.checkpoint_every}"
            )
        if self.early_stopping_patience and not self.validate_every:
            raise ValueError("early_stopping_patience needs validate_every greater than 0")
        names = [tracker.name for tracker in self.tracking]
        if len(set(names)) < len(names):
            raise ValueError(f"tracking must name each tracker once, got {', '.join(names)}")
        if self.warmup_steps >= self.max_steps:
            raise ValueError(f"warmup_steps ({self.warmup_steps}) must be less than max_steps ({self.max_steps})")


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig(Options):
    """Options of search and scores, in validation and for ``aista evaluate``."""

    metrics: tuple[Component, ...] = components("metric", "Metrics; empty means the task's defaults.")
    generation: GenerationConfig = section(GenerationConfig, "Search options.")
    batch_size: int = option(
        32, "Rows decoded together; does not change results.", minimum=1, maximum=1_000_000, weights=False
    )
    score: str = option(
        "nll", "Criterion of the best checkpoint: nll, loss (the whole training loss), or one of the metrics."
    )
    validation_rows: int = option(0, "Dev rows decoded in each validation; 0 means all of them.", minimum=0)
