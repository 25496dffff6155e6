"""The decoder asks a task for what it implements: the hypotheses of a search, or texts."""

from types import SimpleNamespace

import pytest

from aista import registry
from aista.errors import AistaError
from aista.modules.llms.search import GenerationConfig, Utility
from aista.schema import resolve
from aista.tasks.decoding import Decoded, Decoder
from aista.tasks.speech_translation import SpeechTranslationTask
from aista.types import Hypothesis

EXPERIMENT = SimpleNamespace(sections=SimpleNamespace(data=SimpleNamespace(target_language="fr", source_language="en")))


class Searching(SpeechTranslationTask):
    def __init__(self):
        self.tokenizer = SimpleNamespace(decode=lambda ids: " ".join(map(str, ids)))

    def hypotheses(self, model, batch, generation, *, from_text=False):
        return [[Hypothesis((1, int(from_text)), -1.0, guarded=True), Hypothesis((2,), -3.0)]]


class Two(Searching):
    """Finds the same for each of two rows."""

    def hypotheses(self, model, batch, generation, *, from_text=False):
        return 2 * super().hypotheses(model, batch, generation)


class Upper(Searching):
    """Has its own ``decode``, which must not be passed over."""

    def decode(self, model, batch, generation):
        return ["ITS OWN"]


def decoder(task):
    return Decoder(EXPERIMENT, task, GenerationConfig(beam_size=2))


def test_what_a_search_found_is_ranked_and_kept():
    (found,) = decoder(Searching()).decode(None, None)
    assert found.text == "1 0"
    assert found.guarded
    assert [(item.text, item.score, item.num_tokens) for item in found.candidates] == [
        ("1 0", -1 / 3, 3),
        ("2", -1.5, 2),
    ]
    assert decoder(Searching()).decode(None, None, from_text=True)[0].text == "1 1"


def test_the_utility_is_of_each_rows_language(monkeypatch):
    asked = []
    build = registry.build
    monkeypatch.setattr(
        registry, "build", lambda *args, **more: asked.append(more["target_language"]) or build(*args, **more)
    )
    mbr = resolve("metric", {"name": "bleu"}, type=Utility)
    both = Decoder(EXPERIMENT, Two(), GenerationConfig(beam_size=2, mbr=mbr))
    assert asked == ["fr"]
    both.decode(None, None, languages=["zh", ""])
    both.decode(None, None, languages=["zh", "fr"])
    both.decode(None, None)
    assert asked == ["fr", "zh"]


def test_a_task_with_a_decode_of_its_own_keeps_it():
    assert decoder(Upper()).decode(None, None) == [Decoded("ITS OWN")]
    with pytest.raises(AistaError, match="does not search"):
        decoder(Upper()).require_n_best(1)
