"""Small, correct components in plain PyTorch, to test your own parts against without models or files."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from aista.data.features.base import Feature
from aista.data.tokenizers.base import TextTokenizer
from aista.modules.adapters.base import Adapter
from aista.modules.encoders.base import SpeechEncoder
from aista.modules.llms.base import GenerationConfig, LanguageModel
from aista.types import Hypothesis

__all__ = ["DummyAdapter", "DummyEncoder", "DummyFeature", "DummyLanguageModel", "DummyTokenizer"]


class DummyFeature(Feature):
    """The samples of each 10 ms, every second one of them."""

    dim = 80
    sample_rate = 16_000

    def __call__(self, wave: Tensor) -> Tensor:
        return functional.pad(wave, (0, -len(wave) % 160))[::2].reshape(-1, self.dim)

    def num_frames(self, num_samples: int) -> int:
        return (num_samples + 159) // 160


class DummyEncoder(SpeechEncoder):
    """One linear layer per frame; waveforms (``feature_dim`` 0) are cut into frames of 160 samples first."""

    output_dim = 16

    def __init__(self, feature_dim: int = 80) -> None:
        super().__init__()
        self.feature_dim = feature_dim
        self.blocks = nn.ModuleList([nn.Linear(feature_dim or 160, self.output_dim)])

    @property
    def layers(self) -> nn.ModuleList:
        return self.blocks

    def encode(self, audio: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        if self.feature_dim == 0:
            audio = functional.pad(audio, (0, -audio.shape[1] % 160)).reshape(len(audio), -1, 160)
        return torch.tanh(self.blocks[0](audio)), self.output_lengths(lengths)

    def output_lengths(self, lengths: Tensor) -> Tensor:
        return lengths if self.feature_dim else (lengths + 159) // 160


class DummyAdapter(Adapter):
    """Every second frame through a linear layer."""

    def __init__(self, input_dim: int = 16, output_dim: int = 24) -> None:
        super().__init__()
        self.linear = nn.Linear(input_dim, output_dim)

    def forward(self, states: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        return self.linear(states[:, ::2]), self.output_lengths(lengths)

    def output_lengths(self, lengths: Tensor) -> Tensor:
        return (lengths + 1) // 2


class _Block(nn.Module):
    """A gated running mean over the positions so far: causal, and blind to padding on the right."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.mix, self.gate = nn.Linear(dim, dim), nn.Linear(dim, dim)

    def forward(self, states: Tensor) -> Tensor:
        steps = torch.arange(1, states.shape[1] + 1, device=states.device)
        past: Tensor = self.mix(states).cumsum(1) / steps[:, None]
        return states + torch.sigmoid(self.gate(states)) * past


class DummyLanguageModel(LanguageModel):
    """A causal LM of ``num_layers`` gated running means, with a plain (slow, exact) beam search."""

    def __init__(self, vocab_size: int = 20, *, num_layers: int = 2, model_dim: int = 24) -> None:
        super().__init__()
        self.vocab_size, self.num_layers, self.model_dim, self.max_positions = vocab_size, num_layers, model_dim, 512
        self.embedding = nn.Embedding(vocab_size, model_dim)
        self.blocks = nn.ModuleList(_Block(model_dim) for _ in range(num_layers))
        self.norm = nn.LayerNorm(model_dim)

    @property
    def layers(self) -> nn.ModuleList:
        return self.blocks

    def embed(self, ids: Tensor) -> Tensor:
        embeddings: Tensor = self.embedding(ids)
        return embeddings

    def forward(
        self, embeddings: Tensor, lengths: Tensor, *, capture: Sequence[int] = (), stop_at_capture: bool = False
    ) -> tuple[Tensor | None, tuple[Tensor, ...]]:
        depth = max(capture, default=0) if stop_at_capture else self.num_layers
        states = [embeddings]
        for block in self.blocks[:depth]:
            states.append(block(states[-1]))
        final = None if stop_at_capture else self.normalize(states[-1])
        return final, tuple(states[layer] for layer in capture)

    def normalize(self, states: Tensor) -> Tensor:
        normalized: Tensor = self.norm(states)
        return normalized

    def project(self, states: Tensor) -> Tensor:
        return functional.linear(states, self.embedding.weight)

    @torch.no_grad()
    def generate(
        self, embeddings: Tensor, lengths: Tensor, config: GenerationConfig, *, eos_id: int, pad_id: int
    ) -> list[list[Hypothesis]]:
        """Decode row by row, with the whole prefix again at each step."""
        rows = zip(embeddings, lengths.tolist(), strict=True)
        return [self._search(row[:length], config, eos_id, pad_id) for row, length in rows]

    def _search(self, prompt: Tensor, config: GenerationConfig, eos_id: int, pad_id: int) -> list[Hypothesis]:
        beams: list[_Beam] = [(0.0, ())]
        ended: list[_Beam] = []
        guarded = False
        for length in range(1, config.max_new_tokens + 1):
            candidates = []
            for score, ids in beams:
                logp = self._next(prompt, ids)
                if length == config.max_new_tokens:
                    candidates.append((score + float(logp[eos_id]), (*ids, eos_id)))
                else:
                    logp[pad_id] = -torch.inf
                    candidates += [(score + value, (*ids, token)) for token, value in enumerate(logp.tolist())]
            candidates = sorted(candidates, key=lambda candidate: -candidate[0])
            allowed = [item for item in candidates if not _repeats(item[1], config.no_repeat_ngram)]
            ends, beams = _used(allowed, config.beam_size, eos_id)
            guarded |= (ends, beams) != _used(candidates, config.beam_size, eos_id)
            ended += ends
            if len(ended) >= config.beam_size:
                break
        found = [Hypothesis(ids[:-1], score, guarded) for score, ids in ended]
        return sorted(found, key=lambda hypothesis: -hypothesis.score(config.length_penalty))

    def _next(self, prompt: Tensor, ids: tuple[int, ...]) -> Tensor:
        tokens = self.embed(torch.tensor(ids, dtype=torch.long, device=prompt.device))
        states, _ = self(torch.cat([prompt, tokens])[None], torch.tensor([len(prompt) + len(ids)]))
        return self.project(states[0, -1]).float().log_softmax(-1)


_Beam = tuple[float, tuple[int, ...]]


def _used(candidates: list[_Beam], beam_size: int, eos_id: int) -> tuple[list[_Beam], list[_Beam]]:
    """Split candidates, best first, into those that end a hypothesis and those that continue."""
    going = [item for item in candidates if item[1][-1] != eos_id]
    return [item for item in candidates[:beam_size] if item[1][-1] == eos_id], going[:beam_size]


def _repeats(ids: tuple[int, ...], size: int) -> bool:
    """Whether the last n-gram of this size is there before."""
    ngrams = [ids[end - size : end] for end in range(size, len(ids) + 1)]
    return size > 0 and len(ids) >= size and ngrams[-1] in ngrams[:-1]


class DummyTokenizer(TextTokenizer):
    """One token per character of a small alphabet: 0 BOS, 1 EOS, 2 padding, 3 unknown."""

    alphabet = " abcdefghijklmnopqrstuvwxyz'.,"

    def __init__(self) -> None:
        self.bos_id, self.eos_id, self.pad_id = 0, 1, 2
        self.vocab_size = 4 + len(self.alphabet)

    def encode(self, text: str) -> list[int]:
        return [4 + self.alphabet.find(letter) for letter in text.lower()]

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(self.piece(id) for id in ids if id > 2)

    def piece(self, id: int) -> str:
        return self.alphabet[id - 4] if id >= 4 else ("<s>", "</s>", "<pad>", "?")[id]
