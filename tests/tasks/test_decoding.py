"""The decoder asks a task for what it implements: the hypotheses of a search, or texts."""

from types import SimpleNamespace

import pytest

from aista import registry
from aista.errors import AistaError, ConfigError
from aista.modules.llms.search import GenerationConfig, Utility
from aista.schema import resolve
from aista.scoring.utterance_inputs import NO_INPUTS
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
    Decoder(EXPERIMENT, Two(), both.generation, language="de")
    assert asked == ["fr", "zh", "de"]


def test_where_rows_name_their_language_no_other_is_asked_for():
    data = SimpleNamespace(target_language="", source_language="en")
    experiment = SimpleNamespace(sections=SimpleNamespace(data=data))
    generation = GenerationConfig(beam_size=2, mbr=resolve("metric", {"name": "bleu"}, type=Utility))
    with pytest.raises(ConfigError, match="the target language is unknown"):
        Decoder(experiment, Two(), generation)
    late = Decoder(experiment, Two(), generation, chooses_late=True)
    late.prepare(["fr", "de"], NO_INPUTS, 2)
    with pytest.raises(ConfigError, match="the target language is unknown"):
        late.prepare(["fr", ""], NO_INPUTS, 2)
    decoded = late.decode(None, None, languages=["fr", "de"])
    assert late.choose(decoded, NO_INPUTS, ["fr", "de"]) == decoded
    assert all(item.utility is not None for row in decoded for item in row.candidates)


def test_a_task_with_a_decode_of_its_own_keeps_it():
    assert decoder(Upper()).decode(None, None) == [Decoded("ITS OWN")]
    with pytest.raises(AistaError, match="does not search"):
        decoder(Upper()).require_n_best(1)
