"""From the alignment's losses to the end of their backward pass a GPU is never waited for."""

from __future__ import annotations

import traceback
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from aista.losses.base import AlignmentContext, AlignmentLoss
from aista.registry import build, entries
from aista.schema import resolve
from aista.selection.base import SelectedLayers
from aista.tasks.alignment_terms import AlignmentTerm, AlignmentTerms
from aista.types import LsmOutput, SpeechBatch
from tests.fake_gpu import WAITS, fake_gpu, take_for_gpu

NAMES = [entry.name for entry in entries("alignment_loss") if entry.origin.startswith("aista.")]
LOSSES: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in NAMES),
    ("cosine", {"level": "token"}),
    ("mse", {"level": "max"}),
    ("infonce", {"level": "token"}),
    ("token_contrast", {"guide": "times", "span": 2}),
    ("token_contrast", {"guide": "transport"}),
    ("ot", {"guide": "times"}),
    ("ot", {"solver": "exact"}),
    ("ot", {"solver": "sinkhorn_divergence"}),
    ("ot", {"solver": "unbalanced", "cost": "sqeuclidean", "speech_mass": "norm"}),
    ("mismatched", {"loss": "infonce"}),
    ("ctc", {"classes": "batch"}),
]

READS = {
    "aista/losses/ctc.py": "PyTorch's CTC takes lengths from the host, and the transcripts are checked for the blank",
    "aista/losses/guides/monotone.py": "PyTorch's CTC takes lengths from the host",
    "aista/losses/solvers/simplex.py": "the network simplex runs on the host",
    "aista/losses/solvers/relaxed.py": "it takes the samples at their lengths",
}
"""Where the host waits, and why; docs/alignment_losses.md tells users. All else may not."""

B, P, T, D, V, U = 3, 7, 5, 6, 11, 4
SELECTED = SelectedLayers((1, 3), (0.25, 0.75), "")


def _batch(device: torch.device) -> SpeechBatch:
    lengths = torch.ones(B, dtype=torch.long, device=device)
    ids = torch.ones(B, T, dtype=torch.long, device=device)
    words = torch.ones(B, 2, 4, device=device)
    return SpeechBatch(("a", "b", "c"), torch.ones(B, P, D, device=device), lengths, ids, lengths, ids, lengths,
                       words=words)  # fmt: skip


def _step(loss: AlignmentLoss, device: torch.device) -> tuple[Tensor, list[Tensor], Any]:
    """The part that the loss has in a training step, the leaves it depends on, and what it logs."""
    batch = _batch(device)
    term = AlignmentTerm(loss, 0.5, build("weight_schedule", resolve("weight_schedule", "constant")), "align")
    terms = AlignmentTerms([term], text_gradient=True)
    ids = terms.vocabulary(batch, SimpleNamespace(vocab_size=V, pad_id=0))
    vocabulary = None if ids is None else torch.rand(len(ids), D, device=device)
    speech, text = torch.rand(2, B, P, D, device=device), torch.rand(2, B, T, D, device=device)
    logits = [torch.rand(U, V, device=device) for _ in range(2)]
    leaves = logits if terms.divergences else [speech, text]
    for leaf in leaves:
        leaf.requires_grad_()
    divergences = tuple(compare(*logits)[:B] for compare in terms.divergences)
    out = LsmOutput(
        nll=torch.zeros(B, device=device),
        num_targets=batch.row_weights,
        speech=speech.unbind(),
        speech_lengths=batch.audio_lengths,
        text=text.unbind(),
        text_lengths=batch.source_lengths,
        mt_nll=torch.zeros(B, device=device),
        vocabulary=vocabulary,
        divergences=divergences,
    )
    context = AlignmentContext(2, batch.source, vocabulary, ids, words=batch.words)
    part = terms.loss(out, SELECTED, context)
    return part.total, leaves, part.metrics


@pytest.fixture(autouse=True)
def _taken_for_a_gpu(monkeypatch):
    take_for_gpu(monkeypatch)


@pytest.mark.skipif(find_spec("triton") is None, reason="triton is not installed")
@pytest.mark.parametrize(
    ("name", "options"),
    [pytest.param(name, options, id="-".join([name, *map(str, options.values())])) for name, options in LOSSES],
)
def test_the_host_never_waits(name, options):
    loss = build("alignment_loss", resolve("alignment_loss", {"name": name, "config": options}))
    with fake_gpu() as device:
        try:
            total, leaves, metrics = _step(loss, device)
            total.backward()
        except WAITS as error:
            files = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
            reasons = [why for place, why in READS.items() if any(place in file for file in files)]
            if not reasons:
                raise
            pytest.xfail(reasons[-1])
        assert (total.shape, total.device.type) == ((), device.type)
        for leaf in leaves if name != "ctc" else leaves[:1]:
            assert (leaf.grad.shape, leaf.grad.device.type) == (leaf.shape, device.type)
        for key, (value, weight) in metrics.items():
            assert (key, value.shape, value.device.type) == (key, (), device.type)
            assert not isinstance(weight, Tensor) or weight.device.type == device.type
