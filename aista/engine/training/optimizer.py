"""AdamW with groups of parameters named as in the bare model, whatever wraps it.

fairseq2's own grouping sees the wrappers' names: ``module.`` of data parallelism in front, and inside
``_checkpoint_wrapped_module.`` of activation checkpointing, which no pattern of a config expects.
"""

from __future__ import annotations

from collections.abc import Sequence

from fairseq2.recipe.component import register_component
from fairseq2.recipe.config import AdamWConfig
from fairseq2.runtime.dependency import DependencyContainer, DependencyResolver
from torch import nn
from torch.optim import AdamW, Optimizer

from aista.engine.training.recipe_config import OPTIMIZER
from aista.errors import ConfigError, Fault
from aista.modules.name_patterns import matching
from aista.tasks.training import TrainerConfig

__all__ = ["bare_name", "check_parameter_groups", "group_parameters", "register_optimizer"]


def register_optimizer(container: DependencyContainer) -> None:
    """Register the optimiser with fairseq2 under the name that ``recipe_config`` uses."""
    register_component(container, Optimizer, OPTIMIZER, config_kls=AdamWConfig, factory=_create)


def check_parameter_groups(trainer: TrainerConfig, model: nn.Module) -> None:
    """Raise ConfigError for a group without a parameter to train, and say why it has none."""
    patterns = [group.params for group in trainer.parameter_groups]
    names = tuple(name for name, _ in model.named_parameters())
    faults, hits = [], []
    for index, pattern in enumerate(patterns):
        try:
            hits.append(matching(pattern, names, whole=False))
        except ValueError as error:
            faults.append(Fault(f"trainer.parameter_groups[{index}].params", str(error)))
    if not faults:
        for index, (problem, remedy) in _idle_groups(model, patterns, hits).items():
            faults.append(Fault(f"trainer.parameter_groups[{index}].params", problem, remedy))
    if faults:
        raise ConfigError(faults)


def group_parameters(model: nn.Module, patterns: Sequence[str]) -> list[list[nn.Parameter]]:
    """The parameters of each pattern, and last those of none; the first pattern that matches counts."""
    parameters = {bare_name(name): parameter for name, parameter in model.named_parameters()}
    hits = [matching(pattern, tuple(parameters), whole=False) for pattern in patterns]
    groups: list[list[nn.Parameter]] = [[] for _ in range(len(patterns) + 1)]
    for name, parameter in parameters.items():
        groups[_group_of(name, hits)].append(parameter)
    return groups


def bare_name(name: str) -> str:
    """A parameter's name without the additions of wrappers."""
    return name.removeprefix("module.").replace("_checkpoint_wrapped_module.", "")


def _create(resolver: DependencyResolver, config: AdamWConfig) -> Optimizer:
    groups = group_parameters(resolver.resolve(nn.Module), [str(group.params) for group in config.groups])
    options = [*({"lr": group.lr} for group in config.groups), {}]
    filled = [option | {"params": group} for option, group in zip(options, groups, strict=True) if group]
    return AdamW(filled, lr=config.lr, betas=config.betas, eps=config.eps, weight_decay=config.weight_decay)


def _group_of(name: str, hits: Sequence[frozenset[str]]) -> int:
    return next((index for index, names in enumerate(hits) if name in names), len(hits))


def _idle_groups(
    model: nn.Module, patterns: Sequence[str], hits: Sequence[frozenset[str]]
) -> dict[int, tuple[str, str]]:
    """Problem and remedy of each group that would train nothing; ``hits`` are the names that each pattern matches."""
    names = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    trained = [name for name, is_trained in names.items() if is_trained]
    filled = {_group_of(name, hits) for name in trained}
    idle = {}
    for index, pattern in enumerate(patterns):
        matched = [name for name in names if name in hits[index]]
        if index in filled:
            continue
        if not matched:
            idle[index] = (f"{pattern!r} matches no parameter", f"e.g. {trained[0]}")
        elif not any(names[name] for name in matched):
            problem = f"{pattern!r} matches only frozen parameters, e.g. {matched[0]}"
            idle[index] = (problem, f"trained parameters have names like {trained[0]}")
        else:
            idle[index] = (f"all that {pattern!r} matches belongs to earlier groups", "put this group before them")
    return idle
