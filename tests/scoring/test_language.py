from __future__ import annotations

import pytest

from aista.scoring.language import UNSPACED, language_of
from tests.scoring.helpers import make


def test_codes() -> None:
    codes = ("zh-CN", "ZH_tw", " ja ", "fr", "", "zho_Hans", "mdw", "jw", "in")
    assert [language_of(code) for code in codes] == ["zh", "zh", "ja", "fr", "", "zho", "mdw", "jw", "in"]


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("Chinese", "'zh'"),
        ("japanesse", "'japanese'"),
        ("jp", "'ja'"),
        ("French", "'fr'"),
        ("xx", ""),
        ("zhongwen", ""),
        ("_fr", ""),
    ],
)
def test_words_that_are_no_code(code: str, hint: str) -> None:
    with pytest.raises(ValueError, match=f"must be a code of ISO 639 such as fr, zh-CN or yue, got {code!r}") as caught:
        language_of(code)
    assert str(caught.value).endswith(f"(did you mean {hint}?)" if hint else repr(code))


@pytest.mark.parametrize("name", ["bleu", "cer", "wer"])
def test_every_metric_that_needs_the_language_asks_for_a_code(name: str) -> None:
    with pytest.raises(ValueError, match=r"did you mean 'zh'\?"):
        make(name, "Chinese")


def test_one_table_for_all_metrics() -> None:
    for language in UNSPACED:
        assert "tok:13a" not in make("bleu", language).signature
        assert "spaces:no" in make("cer", language).signature
        with pytest.raises(ValueError, match=f"'{language}' is written without them; use cer"):
            make("wer", language)
    assert make("wer", "").score(["a"], ["a b"]).value == 50
