"""BLEU and chrF agree with sacrebleu, and the tokeniser fits the language."""

from __future__ import annotations

import pytest
import sacrebleu

from aista.errors import DataError, RegistryError
from aista.registry import get
from tests.scoring.helpers import corpus, make

ZH = (["今天天气很好。", "我喜欢吃苹果。"], ["今天的天气很好。", "我很喜欢吃红苹果。"])
JA = (["今日は天気がいいです。", "私はりんごが好きです。"], ["今日の天気はいいです。", "私は赤いりんごが好きです。"])


def test_bleu_equals_sacrebleu() -> None:
    references, (hypotheses,) = corpus([0.3])
    score = make("bleu").score(hypotheses, references)
    expected = sacrebleu.corpus_bleu(hypotheses, [references])
    assert score.value == pytest.approx(expected.score, abs=1e-9)
    assert 10 < score.value < 90
    assert (score.name, score.higher_is_better) == ("bleu", True)
    assert score.signature == str(sacrebleu.metrics.BLEU(references=[references]).get_signature())


@pytest.mark.parametrize("word_order", [0, 2])
def test_chrf_equals_sacrebleu(word_order: int) -> None:
    references, (hypotheses,) = corpus([0.3])
    score = make("chrf", word_order=word_order).score(hypotheses, references)
    expected = sacrebleu.corpus_chrf(hypotheses, [references], word_order=word_order)
    assert score.value == pytest.approx(expected.score, abs=1e-9)
    assert f"nw:{word_order}" in score.signature


def test_chrf_plus_plus_is_chrf_with_words() -> None:
    references, (hypotheses,) = corpus([0.3])
    score = make("chrf_plus_plus", lowercase=True).score(hypotheses, references)
    expected = make("chrf", word_order=2, lowercase=True).score(hypotheses, references)
    assert (score.value, score.signature) == (expected.value, expected.signature)
    assert "nw:2" in score.signature
    assert score.name == "chrf_plus_plus"


def test_chrf_plus_plus_is_found_as_it_is_spelt() -> None:
    with pytest.raises(RegistryError, match=r"unknown metric 'chrf\+\+' \(did you mean 'chrf_plus_plus'\?\)"):
        get("metric", "chrf++")


@pytest.mark.parametrize(
    ("language", "texts", "tokenize"),
    [("zh-CN", ZH, "zh"), ("zh_TW", ZH, "zh"), ("ZH", ZH, "zh"), ("ja", JA, "ja-mecab"), ("de", JA, "13a")],
)
def test_tokeniser_follows_the_language(language: str, texts: tuple[list[str], list[str]], tokenize: str) -> None:
    hypotheses, references = texts
    score = make("bleu", language).score(hypotheses, references)
    assert score.value == pytest.approx(sacrebleu.corpus_bleu(hypotheses, [references], tokenize=tokenize).score)
    assert f"tok:{tokenize}" in score.signature


THAI = (
    ["ฉันชอบอ่านหนังสือที่ห้องสมุดทุกวันอาทิตย์", "เขาซื้อดอกไม้สีขาวให้แม่ของเขา"],
    ["ฉันชอบอ่านหนังสือที่ห้องสมุดทุกวันเสาร์", "เขาซื้อดอกไม้สีแดงให้แม่ของเขา"],
)


@pytest.mark.parametrize(
    ("languages", "texts", "tokenize"),
    [
        ("th tha lo km my bo dz th-TH", THAI, "char"),
        ("wuu nan-tw lzh yue zho_Hans cmn", ZH, "zh"),
        ("fr vi jv", ZH, "13a"),
    ],
)
def test_languages_without_spaces_are_cut(languages: str, texts: tuple[list[str], list[str]], tokenize: str) -> None:
    hypotheses, references = texts
    expected = sacrebleu.corpus_bleu(hypotheses, [references], tokenize=tokenize).score
    for language in languages.split():
        score = make("bleu", language).score(hypotheses, references)
        assert score.value == pytest.approx(expected)
        assert f"tok:{tokenize}|" in score.signature


def test_the_tokeniser_matters_for_chinese() -> None:
    hypotheses, references = ZH
    right = make("bleu", "zh").score(hypotheses, references).value
    wrong = make("bleu", "zh", tokenize="13a").score(hypotheses, references).value
    assert right > wrong + 10


def test_lowercase_is_in_the_signature() -> None:
    assert "case:lc" in make("bleu", lowercase=True).signature
    assert make("bleu", lowercase=True).score(["A B C D"], ["a b c d"]).value == pytest.approx(100)


def test_a_missing_tokeniser_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sacrebleu.tokenizers.tokenizer_ko_mecab.MeCab", None)
    with pytest.raises(ValueError, match=r"'ko-mecab' .*`pip install 'sacrebleu\[ko\]'` or set tokenize to char"):
        make("bleu", "ko")
    assert "tok:char" in make("bleu", "ko", tokenize="char").signature


def test_an_unknown_language_is_not_guessed() -> None:
    with pytest.raises(ValueError, match="target language is unknown"):
        make("bleu", "")
    assert "tok:13a" in make("bleu", "", tokenize="13a").signature
    for language, hint in (("Khmer", "did you mean 'km'"), ("xx", "got 'xx'"), ("english-us", "did you mean 'en'")):
        with pytest.raises(ValueError, match=f"must be a code of ISO 639 .*{hint}"):
            make("bleu", language)
    assert make("chrf", "").score(["a"], ["a"]).value == pytest.approx(100)


@pytest.mark.parametrize("name", ["bleu", "chrf", "chrf_plus_plus", "ter", "wer", "cer"])
def test_impossible_corpora(name: str) -> None:
    metric = make(name)
    with pytest.raises(DataError, match="empty corpus"):
        metric.score([], [])
    with pytest.raises(DataError, match="2 hypotheses and 1 references"):
        metric.score(["a", "b"], ["a"])
    with pytest.raises(DataError, match="references must be a list of texts"):
        metric.score(["a"], "a")


def test_nothing_translated_scores_zero() -> None:
    assert make("bleu").score(["", ""], ["a b c", "d"]).value == 0
    assert make("chrf").score(["", ""], ["a b c", "d"]).value == 0
