"""What the alignment asks of the model."""

from __future__ import annotations

from types import SimpleNamespace

import torch

from aista.losses.ctc import CTCAlignment
from aista.registry import build
from aista.schema import resolve
from aista.tasks.alignment_terms import AlignmentTerm, AlignmentTerms
from aista.types import SpeechBatch

TOKENIZER = SimpleNamespace(vocab_size=9, pad_id=3)
LENGTHS = torch.tensor([3, 0, 2])
IDS = torch.tensor([[7, 1, 7], [8, 8, 8], [5, 1, 8]])
BATCH = SpeechBatch(("a", "b", "c"), torch.zeros(3, 0), LENGTHS, IDS, LENGTHS, IDS, LENGTHS)


def _terms(*losses: CTCAlignment) -> AlignmentTerms:
    schedule = build("weight_schedule", resolve("weight_schedule", "constant"))
    return AlignmentTerms([AlignmentTerm(loss, 1.0, schedule, "align") for loss in losses], text_gradient=False)


def test_the_vocabulary_is_that_of_the_transcripts_and_the_padding_in_order():
    ids = _terms(CTCAlignment(classes="batch")).vocabulary(BATCH, TOKENIZER)
    assert ids.tolist() == sorted(ids.tolist())
    assert set(ids.tolist()) == {1, 3, 5, 7}


def test_one_loss_over_all_tokens_makes_it_all_of_them():
    terms = _terms(CTCAlignment(classes="batch"), CTCAlignment())
    assert terms.vocabulary(BATCH, TOKENIZER).tolist() == list(range(9))
    assert _terms().vocabulary(BATCH, TOKENIZER) is None
