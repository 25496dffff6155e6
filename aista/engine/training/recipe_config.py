"""Translates aista's trainer options to fairseq2's recipe config."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from fairseq2.recipe.config import (
    ActivationCheckpointingConfig,
    AdamWConfig,
    AdamWGroupConfig,
    CommonSection,
    CosineAnnealingLRConfig,
    GangSection,
    GradAccumulationConfig,
    LRSchedulerSection,
    MetricRecordersConfig,
    MixedPrecisionConfig,
    ModelSection,
    MyleLRConfig,
    OptimizerSection,
    RegimeSection,
    TensorBoardConfig,
    TrainerSection,
    TriStageLRConfig,
)

from aista.run_folder.metric_records import SCORE
from aista.tasks.training import TrainerConfig

__all__ = ["FAMILY", "OPTIMIZER", "SCORE", "RecipeConfig", "recipe_config"]

FAMILY = "aista"
OPTIMIZER = "aista_adamw"


@dataclass(kw_only=True)
class RecipeConfig:
    """The sections that fairseq2's recipe machinery reads."""

    model: ModelSection = field(default_factory=lambda: ModelSection(family=FAMILY))
    gang: GangSection = field(default_factory=GangSection)
    trainer: TrainerSection = field(default_factory=TrainerSection)
    optimizer: OptimizerSection = field(default_factory=OptimizerSection)
    lr_scheduler: LRSchedulerSection = field(default_factory=LRSchedulerSection)
    regime: RegimeSection = field(default_factory=RegimeSection)
    common: CommonSection = field(default_factory=CommonSection)


def recipe_config(config: TrainerConfig, *, seed: int, validate: bool) -> RecipeConfig:
    """Translate our options.

    Args:
        config: aista's trainer options.
        seed: Seed of initialisation and dropout.
        validate: Whether there is a dev set.
    """
    bfloat16 = config.mixed_precision == "bfloat16"
    return RecipeConfig(
        trainer=TrainerSection(
            data_parallelism=config.data_parallelism,
            mixed_precision=MixedPrecisionConfig(mode="auto" if bfloat16 else "off", dtype=torch.bfloat16),
            grad_accumulation=GradAccumulationConfig(num_batches=config.grad_accumulation),
            activation_checkpointing=ActivationCheckpointingConfig(
                mode="layerwise" if config.activation_checkpointing else "off"
            ),
            max_grad_norm=config.max_grad_norm or None,
        ),
        optimizer=OptimizerSection(name=OPTIMIZER, config=_optimizer(config)),
        lr_scheduler=_schedule(config),
        regime=_regime(config, validate),
        common=CommonSection(
            seed=seed,
            no_sweep_dir=True,
            metric_recorders=MetricRecordersConfig(tensorboard=TensorBoardConfig(enabled=False)),
        ),
    )


def _optimizer(config: TrainerConfig) -> AdamWConfig:
    groups = [AdamWGroupConfig(params=group.params, lr=group.learning_rate) for group in config.parameter_groups]
    return AdamWConfig(lr=config.learning_rate, betas=config.betas, weight_decay=config.weight_decay, groups=groups)


def _schedule(config: TrainerConfig) -> LRSchedulerSection:
    warmup = config.warmup_steps
    if config.schedule == "cosine":
        return LRSchedulerSection(
            name="cosine_annealing",
            config=CosineAnnealingLRConfig(num_warmup_steps=warmup, final_lr_scale=config.final_scale),
        )
    if config.schedule == "inverse_sqrt":
        return LRSchedulerSection(name="myle", config=MyleLRConfig(num_warmup_steps=max(warmup, 1)))
    ratio = warmup / config.max_steps
    stages = TriStageLRConfig(stage_ratio=(ratio, 1 - ratio, 0.0), start_lr_scale=0.01, final_lr_scale=1.0)
    return LRSchedulerSection(name="tri_stage", config=stages)


def _regime(config: TrainerConfig, validate: bool) -> RegimeSection:
    # At the end of training fairseq2 validates and saves in any case: an interval beyond the end means "only then".
    never = -(-(config.max_steps + 1) // config.log_every) * config.log_every
    return RegimeSection(
        num_steps=config.max_steps,
        publish_metrics_every_n_steps=config.log_every,
        validate_every_n_steps=(config.validate_every or never) if validate else None,
        checkpoint_every_n_steps=config.checkpoint_every or never,
        keep_last_n_checkpoints=config.keep_last,
        keep_best_n_checkpoints=config.keep_best or None,
        score_metric=SCORE if validate else None,
    )
