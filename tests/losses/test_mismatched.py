from __future__ import annotations

import pytest
import torch

from aista.errors import ConfigError
from aista.losses.base import AlignmentContext
from aista.losses.mismatched import Mismatched, MismatchedConfig, _partners
from aista.registry import build
from aista.schema import Component, structure
from aista.types import LayerStates
from tests.losses.layers import content, fold, layer_states

# Sorted by their tokens: row 5 (1), row 0 (1 2 3 4), row 4 (1 2 6 ...), row 1 (2 2 ...); rows 2 and 3 lack a side.
IDS = torch.tensor([[1, 2, 3, 4, 0, 0], [2, 2, 5, 7, 8, 0], [0, 0, 0, 0, 0, 0], [3, 4, 0, 0, 0, 0],
                    [1, 2, 6, 4, 5, 9], [1, 0, 0, 0, 0, 0]])  # fmt: skip
PARTNERS = {5: 0, 0: 4, 4: 1, 1: 5}


def _loss(name: str, **config: object) -> Mismatched:
    return Mismatched(structure(MismatchedConfig, {"loss": {"name": name, "config": config}}))


def _context(num_layers: int = 1, ids: torch.Tensor = IDS) -> AlignmentContext:
    return AlignmentContext(num_layers, ids)


def test_each_row_meets_the_next_other_transcript():
    states = layer_states()
    values = _loss("cosine")(states, _context()).per_utterance_B
    for row in range(6):
        if row not in PARTNERS:
            assert values[row] == 0
            continue
        speech, text = content(states, row)[0].mean(0), content(states, PARTNERS[row])[1].mean(0)
        expected = 1 - torch.cosine_similarity(speech, text, dim=0)
        torch.testing.assert_close(values[row], expected.float(), rtol=1e-5, atol=1e-6)


def test_layers_keep_their_own_texts():
    layers = [layer_states(seed=seed) for seed in (0, 1)]
    together = _loss("ot")(fold(*layers), _context(2)).per_utterance_B
    apart = torch.cat([_loss("ot")(layer, _context()).per_utterance_B for layer in layers])
    torch.testing.assert_close(together, apart, rtol=1e-4, atol=1e-5)


def test_a_loss_that_reads_transcripts_reads_the_partners():
    states = layer_states()
    order = [PARTNERS[row] for row in PARTNERS]
    rows = list(PARTNERS)
    swapped = LayerStates(
        states.speech[rows], states.speech_lengths[rows], states.text[order], states.text_lengths[order]
    )
    values = _loss("infonce", level="token")(states, _context()).per_utterance_B[rows]
    plain = build("alignment_loss", Component("infonce", structure_of("infonce", level="token")))
    expected = plain(swapped, AlignmentContext(1, IDS[order])).per_utterance_B
    torch.testing.assert_close(values, expected, rtol=1e-5, atol=1e-6)


def structure_of(name: str, **options: object):
    from aista import registry

    return structure(registry.get("alignment_loss", name).config, options)


def test_equal_transcripts_take_no_part():
    states = layer_states([3, 3], [2, 2])
    same = torch.tensor([[1, 2], [1, 2]])
    result = _loss("ot")(states, _context(ids=same)).per_utterance_B
    assert result.tolist() == [0, 0]
    assert result.requires_grad


def test_what_lies_behind_a_transcript_tells_nothing():
    states = layer_states([3, 3], [2, 2])
    ids = torch.tensor([[1, 2, 7], [1, 2, 8]])
    assert _loss("ot")(states, _context(ids=ids)).per_utterance_B.tolist() == [0, 0]


@pytest.mark.parametrize(("name", "why"), [("word_aligned", "needs word times"), ("kl", "compares predictions")])
def test_losses_without_another_partner_are_refused(name, why):
    with pytest.raises(ValueError, match=f"'{name}', which {why}; choose another"):
        _loss(name)


def test_a_config_names_the_place():
    spec = Component("mismatched", structure(MismatchedConfig, {"loss": "kl"}))
    with pytest.raises(ConfigError, match=r"alignment\[0\].config"):
        build("alignment_loss", spec, at="alignment[0]")


def test_partners_are_those_of_a_sorted_list():
    generator = torch.Generator().manual_seed(0)
    for size in (0, 1, 2, 7, 12):
        for width in (0, 1, 3):
            keys = torch.randint(0, 3, (size, width), generator=generator).sort(descending=True).values
            present = torch.rand(size, generator=generator) < 0.8
            texts = [tuple(row) for row in keys.tolist()]
            order = sorted((row for row in range(size) if present[row]), key=lambda row: texts[row])
            expected = [-1] * size
            for place, row in enumerate(order):
                following = order[place + 1 :] + order[:place]
                expected[row] = next((other for other in following if texts[other] != texts[row]), -1)
            assert _partners(keys, present).tolist() == expected
