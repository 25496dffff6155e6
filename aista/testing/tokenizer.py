"""Contracts of kind ``tokenizer``."""

from __future__ import annotations

import pickle

from aista.data.tokenizers.base import TextTokenizer
from aista.testing.contracts import contract

TEXTS = ("a", "the red house", "one two three four five")


@contract("tokenizer")
def check_ids(tokenizer: TextTokenizer) -> None:
    """Ids lie in 0..vocab_size-1 and hold no BOS, EOS or padding; padding differs from EOS."""
    assert tokenizer.vocab_size > 0, f"vocab_size must be above 0, got {tokenizer.vocab_size}"
    assert tokenizer.pad_id != tokenizer.eos_id, f"padding and EOS must differ, both are {tokenizer.eos_id}"
    assert 0 <= tokenizer.eos_id < tokenizer.vocab_size, f"eos_id {tokenizer.eos_id} lies outside the vocabulary"
    special = {id for id in (tokenizer.bos_id, tokenizer.eos_id, tokenizer.pad_id) if id is not None}
    for text in TEXTS:
        ids = tokenizer.encode(text)
        assert ids, f"{text!r} gives no token"
        inside = all(0 <= i < tokenizer.vocab_size for i in ids)
        assert inside, f"ids of {text!r} must lie in 0..{tokenizer.vocab_size - 1}, got {ids}"
        assert not special & set(ids), f"ids of {text!r} hold BOS, EOS or padding: {ids}"
        assert tokenizer.encode(text) == ids, f"{text!r} is encoded in two ways"
    assert tokenizer.encode("") == [], "the empty text must give no token"
    for id in special:
        text = f"a {tokenizer.piece(id)} b"
        assert not special & set(tokenizer.encode(text)), f"the text {text!r} becomes BOS, EOS or padding"


@contract("tokenizer")
def check_round_trip(tokenizer: TextTokenizer) -> None:
    """Decoding drops BOS, EOS and padding, and the decoded text survives encoding and decoding."""
    assert tokenizer.decode([]) == "", f"no ids must give the empty text, got {tokenizer.decode([])!r}"
    bos = [] if tokenizer.bos_id is None else [tokenizer.bos_id]
    for text in TEXTS:
        ids = tokenizer.encode(text)
        plain = tokenizer.decode(ids)
        assert plain == tokenizer.decode(tokenizer.encode(plain)), f"{plain!r} does not survive encoding and decoding"
        framed = [*bos, *ids, tokenizer.eos_id]
        framed += [tokenizer.pad_id] if tokenizer.pad_id < tokenizer.vocab_size else []
        assert tokenizer.decode(framed) == plain, (
            f"BOS, EOS or padding change {plain!r} to {tokenizer.decode(framed)!r}"
        )


@contract("tokenizer")
def check_pieces(tokenizer: TextTokenizer) -> None:
    """Every token can be shown in a plot."""
    for id in (*tokenizer.encode(TEXTS[1]), tokenizer.eos_id):
        piece = tokenizer.piece(id)
        assert isinstance(piece, str), f"the piece of {id} must be a text, got {piece!r}"
        assert piece, f"the piece of {id} is empty"


@contract("tokenizer")
def check_picklable(tokenizer: TextTokenizer) -> None:
    """It survives pickling (worker processes) and then encodes the same."""
    again = pickle.loads(pickle.dumps(tokenizer))
    for text in TEXTS:
        assert again.encode(text) == tokenizer.encode(text), f"{text!r} is encoded differently after pickling"
