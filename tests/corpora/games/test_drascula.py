"""The reader of Drascula on small tables of texts."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from aista.corpora.games.drascula import LANGUAGES, TABLES, read_texts, sentence_texts, write_wav
from aista.errors import DataError
from tests.corpora.games.files import write_tables


def table(name: str, lines: int = 3) -> dict[str, list[str]]:
    return {language: ["", *(f"{name}{number} {language}" for number in range(1, lines))] for language in LANGUAGES}


def tables() -> list[dict[str, list[str]]]:
    """The spoken ones, of different lengths, and a further one."""
    return [table(letter, 2 + number) for number, letter in enumerate(TABLES)] + [table("menu")]


def test_lines_are_named_as_their_sounds(tmp_path: Path) -> None:
    write_tables(tmp_path / "drascula.dat", tables())
    texts = read_texts(tmp_path / "drascula.dat")
    assert texts["VB10"] == {language: f"VB10 {language}" for language in LANGUAGES}
    assert texts["1"]["fr"] == "1 fr"
    assert texts["BJ0"]["en"] == ""
    assert len(texts) == sum(2 + number for number in range(len(TABLES)))
    assert "menu1" not in texts


@pytest.mark.parametrize(
    "before", [b"", b"DRASCULA", bytes(500), bytes(range(1, 256)) * 8, b"\0\1\0\6\0\0\0\4\0\0" * 20]
)
def test_tables_are_found_behind_anything(tmp_path: Path, before: bytes) -> None:
    write_tables(tmp_path / "drascula.dat", tables(), before=before)
    assert read_texts(tmp_path / "drascula.dat")["D1"]["en"] == "D1 en"


def test_each_language_has_its_alphabet(tmp_path: Path) -> None:
    written = tables()
    for language, text in {"fr": "Ça º où?", "es": "¡Año!", "ru": "Ёлки, я"}.items():
        written[1][language][2] = text
    write_tables(tmp_path / "drascula.dat", written)
    line = read_texts(tmp_path / "drascula.dat")["D2"]
    assert (line["fr"], line["es"], line["ru"]) == ("Ça   où?", "¡Año!", "Ёлки, я")
    assert sentence_texts(line)["fr"] == "Ça où?"


def test_texts_get_sentence_case_and_the_games_names() -> None:
    shouted = {"en": "B.J.,  I AM DRASCULA", "de": "IGOR, FueR DICH", "ru": "Драскула"}
    assert sentence_texts(shouted) == {"en": "B.J., I am Drascula", "de": "Igor, für dich", "ru": "Драскула"}


def test_a_file_that_is_cut_short_or_another_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "drascula.dat"
    write_tables(path, tables())
    whole = path.read_bytes()
    for content in (whole[:-1], whole + b"\0", whole[: len(whole) // 2], b"", bytes(300)):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"drascula.dat: must end with 10 or more tables .* package drascula again"):
            read_texts(path)


def test_too_few_tables_are_refused(tmp_path: Path) -> None:
    write_tables(tmp_path / "drascula.dat", tables()[: len(TABLES) - 1])
    with pytest.raises(DataError, match="must end with 10 or more tables"):
        read_texts(tmp_path / "drascula.dat")


def test_bytes_outside_the_alphabet_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "drascula.dat"
    write_tables(path, tables())
    path.write_bytes(path.read_bytes().replace(b"D2 ru", b"D2 r\x98"))  # 0x98 is no character of cp1251
    with pytest.raises(DataError, match="ru texts must be in the game's encoding"):
        read_texts(path)


def test_sounds_get_a_header(tmp_path: Path) -> None:
    (tmp_path / "1.ALS").write_bytes(bytes([128, 0, 255, 127]))
    write_wav(tmp_path / "1.ALS", tmp_path / "1.wav")
    samples, rate = soundfile.read(str(tmp_path / "1.wav"), dtype="int16")
    assert rate == 11_025
    np.testing.assert_array_equal(samples, [0, -32768, 127 * 256, -256])
