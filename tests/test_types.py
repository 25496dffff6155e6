import torch

from aista.types import SpeechBatch, zero_padding


def test_zero_padding_clears_what_is_not_finite_too():
    x = torch.full((2, 3), float("nan"))
    x[0], x[1, 0] = 1.0, 2.0
    assert zero_padding(x, torch.tensor([3, 1])).tolist() == [[1, 1, 1], [2, 0, 0]]


def test_tokens_are_counted_before_a_batch_moves_to_a_device():
    ids, source, target = torch.zeros(3, 4, dtype=torch.long), torch.tensor([2, 4, 1]), torch.tensor([3, 0, 4])
    batch = SpeechBatch(("a", "b", "c"), torch.zeros(3, 0), source, ids, source, ids, target).to("meta")
    assert (batch.num_targets, batch.num_translated) == (3 + 4 + 4 + 3, 3 + 4 + 2)
    assert batch.source.device.type == "meta"
