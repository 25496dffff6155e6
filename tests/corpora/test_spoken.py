"""The draw of splits; the rest is tested by the datasets that use it."""

from pathlib import Path

from aista.corpora.spoken import Sentence, draw_splits, text_key


def sentence(name: str, english: str, **translations: str) -> Sentence:
    recordings = {language: Path(f"{name}.{language}") for language in translations}
    return Sentence(name, english, translations, recordings, {}, {})


def test_sentences_with_a_translation_in_common_stay_together() -> None:
    sentences = [sentence(f"{index}", f"Thing {index}.", fr=f"Chose {index}.") for index in range(12)]
    # 0 and 1 across languages, 1 and 2 within one, so all three together.
    sentences += [sentence("0b", "THING 0", es="Cosa."), sentence("1b", "thing, 1", ca="¡COSA!")]
    sentences += [sentence("1c", "Thing 1", es="Objeto"), sentence("2b", "Thing 2!", es="objeto")]
    homes = set()
    for seed in range(20):
        splits = draw_splits("test", sentences, {"test": 4, "dev": 3}, seed)
        assert sorted(splits.values()) == ["dev"] * 3 + ["test"] * 4 + ["train"] * 5
        assert len({splits[f"thing {index}"] for index in range(3)}) == 1
        homes.add(splits["thing 0"])
    assert homes == {"train", "dev", "test"}


def test_translations_that_nobody_spoke_join_nothing() -> None:
    unspoken = [
        Sentence(f"{index}", f"Thing {index}", {"fr": f"Chose {index}", "de": "Ding"}, {"fr": Path("x")}, {}, {})
        for index in range(6)
    ]
    assert sorted(draw_splits("test", unspoken, {"test": 1}, seed=1).values()) == ["test"] + ["train"] * 5


def test_sentences_without_a_usable_recording_are_not_counted() -> None:
    faulty = [
        Sentence(f"{i}", f"Thing {i}", {"fr": "Chose"}, {"fr": Path("x")}, {"fr": "broken"}, {}) for i in range(3)
    ]
    sentences = [*faulty, sentence("a", "A", fr="a"), sentence("b", "B", fr="b"), sentence("c", "", fr="c")]
    assert sorted(draw_splits("test", sentences, {"test": 1}, seed=1)) == ["a", "b"]


def test_text_keys_keep_letters_marks_and_numbers() -> None:
    assert text_key("«L'œuf»  n° 2 :  ÉTÉ!") == text_key("l\u2019œuf n° 2 e\u0301te\u0301")
    assert text_key("കാക്ക") != text_key("കക")
    assert text_key(" … ") == ""
