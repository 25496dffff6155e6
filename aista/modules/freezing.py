"""Freezing parameters by name, and keeping frozen modules in eval mode."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from torch import nn

from aista.modules.name_patterns import matching
from aista.registry import nearest

__all__ = ["FrozenInEval", "freeze", "keep_frozen_in_eval", "matching_parameters"]

M = TypeVar("M", bound="FrozenInEval")


def freeze(model: nn.Module, patterns: Sequence[str]) -> None:
    r"""Stop training the parameters that any pattern matches, and put wholly frozen modules in eval mode.

    A pattern is a regular expression for a whole dotted name, of a parameter or of a module that
    holds it: ``encoder`` freezes the encoder, ``llm\.layers\.[0-3]`` four blocks, ``.*\.bias`` all
    biases, ``llm.*`` everything whose name begins with llm. Names are those of the bare model, so
    freeze before wrapping it for data parallelism. A tied parameter is matched by any of its names.

    Args:
        model: Its parameters' ``requires_grad`` is cleared where a pattern matches and kept elsewhere.
        patterns: The config's ``freeze_params``; empty freezes nothing.

    Raises:
        ValueError: a pattern is not a regular expression, or matches no parameter; nothing is frozen then.
    """
    parameters = list(model.named_parameters(remove_duplicate=False))
    matched: list[nn.Parameter] = []
    for pattern in patterns:
        hits = matching_parameters(pattern, [name for name, _ in parameters])
        if not hits:
            raise ValueError(_unmatched(model, pattern, [name for name, _ in parameters]))
        matched += [parameter for name, parameter in parameters if name in hits]
    for parameter in matched:
        parameter.requires_grad_(False)
    keep_frozen_in_eval(model)


def keep_frozen_in_eval(model: nn.Module) -> None:
    """Put every sub-module whose parameters (at least one) are all frozen in eval mode.

    A frozen module is a fixed function: its dropout would only add noise.
    Call it after ``model.train()``, or derive the model from ``FrozenInEval``.
    """
    parameters = list(model.parameters())
    if parameters and not any(parameter.requires_grad for parameter in parameters):
        model.eval()
        return
    for child in model.children():
        keep_frozen_in_eval(child)


class FrozenInEval(nn.Module):
    """A module whose ``train()`` leaves its frozen sub-modules in eval mode."""

    def train(self: M, mode: bool = True) -> M:
        """Set the mode; in training mode, wholly frozen sub-modules stay in eval mode."""
        super().train(mode)
        if mode:
            keep_frozen_in_eval(self)
        return self


def matching_parameters(pattern: str, names: Sequence[str]) -> frozenset[str]:
    """The dotted names that a pattern of ``freeze_params`` matches, or whose module it matches.

    Raises:
        ValueError: it is not a regular expression, or takes too long.
    """
    try:
        return matching(pattern, tuple(names), whole=True)
    except ValueError as error:
        raise ValueError(f"freeze_params: {error}") from error


def _unmatched(model: nn.Module, pattern: str, names: list[str]) -> str:
    tops = [name for name, _ in model.named_children()]
    known = sorted({prefix for name in names for prefix in _prefixes(name)})
    return (
        f"freeze_params: {pattern!r} matches no parameter{nearest(pattern, known)}; a pattern is a regular expression "
        f"for a whole dotted name; at the top the model has: {', '.join(tops) or 'no modules'}"
    )


def _prefixes(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[: end + 1]) for end in range(len(parts))]
