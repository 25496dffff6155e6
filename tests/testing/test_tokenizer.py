import pytest

from aista.testing import tokenizer as contract
from aista.testing.dummies import DummyTokenizer


class PadIsEos(DummyTokenizer):
    def __init__(self):
        super().__init__()
        self.pad_id = self.eos_id


class TooManyIds(DummyTokenizer):
    def __init__(self):
        super().__init__()
        self.vocab_size = 6


class AddsEos(DummyTokenizer):
    def encode(self, text):
        return [*super().encode(text), self.eos_id]


class NonEmptyNothing(DummyTokenizer):
    def encode(self, text):
        return super().encode(text or "?")


class Sampled(DummyTokenizer):
    calls = 0

    def encode(self, text):
        self.calls += 1
        return super().encode(text)[: 1 + self.calls]


class ShowsEos(DummyTokenizer):
    def decode(self, ids):
        return "".join(self.piece(id) for id in ids if id not in (0, 2))


class Shifts(DummyTokenizer):
    def decode(self, ids):
        return super().decode([id + 1 for id in ids if id > 3 and id + 1 < self.vocab_size])


class EmptyPieces(DummyTokenizer):
    def piece(self, id):
        return ""


class BytePieces(DummyTokenizer):
    def piece(self, id):
        return super().piece(id).encode()

    def decode(self, ids):
        return DummyTokenizer().decode(ids)


class Forgetful(DummyTokenizer):
    def __init__(self, offset=0):
        super().__init__()
        self.offset = offset

    def __reduce__(self):
        return Forgetful, (1,)

    def encode(self, text):
        return [max(3, id - self.offset) for id in super().encode(text)]


CASES = [
    (contract.check_ids, PadIsEos, "padding and EOS must differ, both are 1"),
    (contract.check_ids, TooManyIds, r"ids of 'the red house' must lie in 0\.\.5"),
    (contract.check_ids, AddsEos, "ids of 'a' hold BOS, EOS or padding"),
    (contract.check_ids, NonEmptyNothing, "the empty text must give no token"),
    (contract.check_ids, Sampled, "'the red house' is encoded in two ways"),
    (contract.check_round_trip, ShowsEos, "BOS, EOS or padding change 'a' to 'a</s>'"),
    (contract.check_round_trip, Shifts, "'b' does not survive encoding and decoding"),
    (contract.check_pieces, EmptyPieces, "the piece of .* is empty"),
    (contract.check_pieces, BytePieces, "the piece of .* must be a text, got b'"),
    (contract.check_picklable, Forgetful, "is encoded differently after pickling"),
]


@pytest.mark.parametrize(("check", "broken", "message"), CASES)
def test_a_broken_tokenizer_fails(check, broken, message):
    with pytest.raises(AssertionError, match=message):
        check(broken())


@pytest.mark.parametrize("check", dict.fromkeys(check for check, _, _ in CASES))
def test_a_correct_tokenizer_passes(check):
    check(DummyTokenizer())
