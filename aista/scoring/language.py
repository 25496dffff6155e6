"""Language codes, and the languages written without spaces between words."""

from __future__ import annotations

import re

from aista.registry import nearest

__all__ = ["CHINESE", "JAPANESE", "KOREAN", "UNSPACED", "language_of"]


def _codes(text: str) -> frozenset[str]:
    return frozenset(re.findall("[a-z]+", text))


CHINESE = _codes("zh zho chi cmn yue wuu nan hak hsn gan lzh cjy cdo mnp cpx czh czo cnp csp")
JAPANESE = _codes("ja jpn")
KOREAN = _codes("ko kor")
_SOUTH_EAST_ASIAN = _codes("th tha nod tts sou lo lao km khm my mya bur rki shn khb tdd blt")
UNSPACED = CHINESE | JAPANESE | _SOUTH_EAST_ASIAN | _codes("bo bod tib dz dzo")
"""Written without spaces between words: Chinese, Japanese, and the Thai, Lao, Khmer, Burmese and Tibetan scripts."""

_NAMES = {
    "chinese": "zh",
    "mandarin": "zh",
    "cantonese": "yue",
    "japanese": "ja",
    "korean": "ko",
    "thai": "th",
    "lao": "lo",
    "khmer": "km",
    "burmese": "my",
    "tibetan": "bo",
    "dzongkha": "dz",
    "english": "en",
    "french": "fr",
    "german": "de",
    "spanish": "es",
    "italian": "it",
    "portuguese": "pt",
    "russian": "ru",
    "arabic": "ar",
    "jp": "ja",
    "cn": "zh",
    "cz": "cs",
    "dk": "da",
    "gr": "el",
    "ua": "uk",
    "vn": "vi",
}
_TWO_LETTERS = _codes(  # ISO 639-1, withdrawn codes too (in, iw, ji, jw), which models and corpora still use
    """
    aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el
    en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik in io is it
    iu iw ja ji jv jw ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mo mr ms
    mt my na nb nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg sh si sk sl
    sm sn so sq sr ss st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za
    zh zu
    """
)


def language_of(code: str) -> str:
    """The lower-case primary language of a code: ``zh-CN``, ``zh_TW`` and ``ZH`` are all ``zh``; "" stays "".

    Raises:
        ValueError: it is not a code of ISO 639.
    """
    language = re.split("[-_]", code.strip())[0].lower()
    if not code.strip() or language in _TWO_LETTERS or re.fullmatch("[a-z]{3}", language):
        return language
    known = _NAMES.get(language)
    hint = f" (did you mean {known!r}?)" if known else nearest(language, _NAMES)
    raise ValueError(f"the target language must be a code of ISO 639 such as fr, zh-CN or yue, got {code!r}{hint}")
