"""A speech encoder and an adapter of a few weights, and a language model made of the real one."""

import torch
from torch import nn

from aista.modules.adapters.base import Adapter
from aista.modules.encoders.base import SpeechEncoder
from aista.modules.llms.transformer_lm import TransformerLMConfig, build_transformer_lm
from aista.types import length_mask


class FrameEncoder(SpeechEncoder):
    """Features, frame by frame, through one linear layer."""

    output_dim = 6

    def __init__(self, feature_dim=5):
        super().__init__()
        self.linear = nn.Linear(feature_dim, self.output_dim)
        self.dropout = nn.Dropout(0.5)

    @property
    def layers(self):
        return nn.ModuleList()

    def encode(self, audio, lengths):
        return self.dropout(torch.tanh(self.linear(audio))), lengths

    def output_lengths(self, lengths):
        return lengths


class PairAdapter(Adapter):
    """Means of pairs of frames; the last may be single."""

    def __init__(self, input_dim, output_dim):
        super().__init__()
        self.linear = nn.Linear(input_dim, output_dim)

    def forward(self, states, lengths):
        states = states.masked_fill(~length_mask(lengths, states.size(1))[..., None], 0)
        states = nn.functional.pad(states, (0, 0, 0, states.size(1) % 2))
        return self.linear(states.unflatten(1, (-1, 2)).mean(dim=2)), self.output_lengths(lengths)

    def output_lengths(self, lengths):
        return (lengths + 1) // 2


def build_llm(vocab_size=13, **options):
    torch.manual_seed(0)
    sizes = {"model_dim": 16, "num_layers": 3, "num_heads": 4, "max_positions": 40, "dropout": 0.0}
    return build_transformer_lm(TransformerLMConfig(**(sizes | options)), vocab_size=vocab_size)


def naive_nll(llm, context, ids):
    """Summed NLL of ``ids`` behind ``[n, D]`` context, one token at a time, unbatched and unpadded."""
    total, rows = 0.0, context
    for token in ids:
        final, _ = llm(rows[None], torch.tensor([len(rows)]))
        total -= llm.project(final[0, -1]).double().log_softmax(-1)[token]
        rows = torch.cat([rows, llm.embed(torch.tensor([[token]]))[0]])
    return total
