"""The quickstart's model and batches, without its corpus: random features and texts of the same sizes."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from aista.data.features.log_mel import LogMel, LogMelConfig
from aista.schema import structure
from aista.selection.base import SelectedLayers
from aista.tasks.speech_translation import SpeechTranslationConfig, SpeechTranslationTask
from aista.testing.dummies import DummyTokenizer
from aista.types import SpeechBatch

VARIANTS: dict[str, tuple[tuple[int, ...], bool]] = {
    "CE only": ((), False),
    "layers 0-1, text detached": ((0, 1), False),
    "all layers, text detached": ((0, 1, 2, 3, 4), False),
    "layers 0-1, gradient on both sides": ((0, 1), True),
}


class Vocabulary(DummyTokenizer):
    """A tokenizer of the quickstart's size."""

    def __init__(self) -> None:
        super().__init__()
        self.vocab_size = 300


@dataclass(frozen=True)
class Step:
    """One training step of a variant, ready to be called."""

    task: SpeechTranslationTask
    model: torch.nn.Module
    optimizer: torch.optim.Optimizer
    batch: SpeechBatch

    def __call__(self) -> None:
        """Forward, backward, update."""
        loss = self.task.loss(self.model, self.batch)
        (loss.total / loss.num_targets).backward()
        self.optimizer.step()
        self.optimizer.zero_grad()


def make_step(layers: tuple[int, ...], text_gradient: bool, *, batch_size: int = 32) -> Step:
    """The quickstart's step with alignment at ``layers``; () is CE only."""
    torch.manual_seed(0)
    config = structure(
        SpeechTranslationConfig,
        {
            "encoder": {
                "name": "conformer",
                "config": {"model_dim": 128, "num_layers": 3, "num_heads": 4, "ffn_dim": 256, "subsampling": 8},
            },
            "adapter": "linear",
            "llm": {"name": "transformer_lm", "config": {"model_dim": 128, "num_layers": 4, "ffn_dim": 256}},
            "alignment": ["ot"] if layers else [],
            "text_gradient": text_gradient,
        },
    )
    task = SpeechTranslationTask(config, tokenizer=Vocabulary(), feature=LogMel(LogMelConfig(num_mels=80)))
    model = task.build_model().train()
    if layers:
        task.selected = SelectedLayers(layers, (1 / len(layers),) * len(layers), "")
    return Step(task, model, torch.optim.AdamW(model.parameters(), lr=1e-3), make_batch(batch_size))


def make_batch(size: int) -> SpeechBatch:
    """Utterances of 1.6-2.8 s, 10-20 transcript tokens, 12-24 target tokens."""
    generator = torch.Generator().manual_seed(1)

    def lengths(low: int, high: int) -> torch.Tensor:
        return torch.randint(low, high + 1, (size,), generator=generator)

    return SpeechBatch(
        ids=tuple(map(str, range(size))),
        audio=torch.randn(size, 280, 80, generator=generator),
        audio_lengths=lengths(160, 280),
        source=torch.randint(5, 300, (size, 20), generator=generator),
        source_lengths=lengths(10, 20),
        target=torch.randint(5, 300, (size, 24), generator=generator),
        target_lengths=lengths(12, 24),
    )
