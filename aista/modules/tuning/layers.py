"""Training the first or last blocks of a part."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from aista.modules.tuning.base import Tuning
from aista.registry import register
from aista.schema import Options, option

__all__ = ["LayersConfig", "LayersTuning"]


@dataclass(frozen=True, kw_only=True)
class LayersConfig(Options):
    """Options of ``layers``."""

    first: int = option(0, "Number of blocks to train at the input side.", minimum=0, maximum=1_000)
    last: int = option(2, "Number of blocks to train at the output side.", minimum=0, maximum=1_000)
    norms: bool = option(False, "Also train every normalisation of the part, those of frozen blocks included.")
    embeddings: bool = option(
        False, "Also train the embedding tables (and with them an output projection that is tied to them)."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.first or self.last or self.norms or self.embeddings):
            raise ValueError(
                "first, last, norms or embeddings must name something to train, got first 0 and last 0; "
                "where nothing is to be trained choose the tuning 'frozen'"
            )


@register("tuning", "layers", config=LayersConfig)
class LayersTuning(Tuning):
    """Train the first and last blocks of an encoder or LLM and freeze the rest.

    Choose it to adapt a pretrained part where LoRA is too weak: the last blocks of an
    encoder to a new domain, the first blocks of an LLM to speech input. Normalisations alone
    (``last: 0, norms: true``) are the smallest change (Lu et al. 2021, arXiv 2103.05247).
    """

    def __init__(self, config: LayersConfig) -> None:
        self.config = config

    def trainable(self, part: nn.Module) -> list[nn.Parameter]:
        """Parameters of the chosen blocks, normalisations and embeddings, each once."""
        modules = [*self._blocks(part), *self._others(part)]
        return list(dict.fromkeys(parameter for module in modules for parameter in module.parameters()))

    def _blocks(self, part: nn.Module) -> list[nn.Module]:
        first, last = self.config.first, self.config.last
        if not first and not last:
            return []
        blocks = getattr(part, "layers", None)
        if not isinstance(blocks, nn.ModuleList):
            raise ValueError(
                f"first and last count the part's blocks, but {type(part).__name__} has none; "
                "choose full, lora or frozen for it"
            )
        if first + last > len(blocks):
            raise ValueError(
                f"first and last must be at most {len(blocks)} together, the part's number of blocks, "
                f"got {first} and {last}; to train all of it choose the tuning 'full'"
            )
        return [*blocks[:first], *blocks[len(blocks) - last :]]

    def _others(self, part: nn.Module) -> Iterator[nn.Module]:
        for wanted, word in ((self.config.norms, "norm"), (self.config.embeddings, "embedding")):
            if not wanted:
                continue
            chosen = [module for module in part.modules() if _is_a(module, word)]
            if not chosen:
                raise ValueError(f"{word}s: {type(part).__name__} has none; leave {word}s out")
            yield from chosen


def _is_a(module: nn.Module, word: str) -> bool:
    """Whether the module's class is called a norm or embedding and holds parameters: each library has its own."""
    return word in type(module).__name__.lower() and any(True for _ in module.parameters(recurse=False))
