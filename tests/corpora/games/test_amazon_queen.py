"""The reader of Flight of the Amazon Queen on small archives."""

from pathlib import Path

import pytest

from aista.corpora.games.amazon_queen import read_archive, read_segments
from aista.errors import DataError
from tests.corpora.games.files import dialogue, film, write_archive

JOE = [(0, "*FRHi there.*03I am Joe.*02"), (6, "At least I don't.*15"), (30, "Who...*04*03are you?")]
PERSON = [(0, "Hello again.*02"), (1, "*XY00(128,112)*FLWhat?"), (6, "No.*02You are.*05"), (0x1AF, "C ")]
GREETINGS = ("*01Oop oop!", "Hello again.*02")
SEGMENTS = {
    "03SSSSJ2": "Hi there.",
    "03SSSSJ3": "I am Joe.",
    "030006J1": "At least I don't.",
    "03001EJ1": "Who...",
    "03001EJ3": "are you?",
    "030001P3": "What?",
    "030006P1": "No.",
    "030006P2": "You are.",
    "0301AFP1": "C",
    "03XXXXP2": "Oop oop!",
    "03XXXXJ1": "Hello again.",
}


def segments(tmp_path: Path, suffix: str = ".DOG", /, **files: bytes) -> dict[str, str]:
    write_archive(tmp_path / "queen.1c", {f"{name}{suffix}": content for name, content in files.items()})
    return read_segments(read_archive(tmp_path / "queen.1c"))


def test_the_archive_gives_back_its_files(tmp_path: Path) -> None:
    files = {"020006J1.SB": b"sound", "EMPTY.SB": b"", "LONGNAME.DOG": b"\0" * 300}
    write_archive(tmp_path / "queen.1c", files)
    archive = read_archive(tmp_path / "queen.1c")
    assert {name: archive.read(name) for name in archive.places} == files


@pytest.mark.parametrize("menus", [0, 3, -3])
def test_segments_are_named_as_their_sounds(tmp_path: Path, menus: int) -> None:
    assert segments(tmp_path, APE=dialogue(3, JOE, PERSON, GREETINGS, menus=menus)) == SEGMENTS


def test_a_film_between_lines_and_greetings_is_skipped(tmp_path: Path) -> None:
    film = b"\0\x35\0\0\x08c75b.CUT\0\0\0"
    assert segments(tmp_path, APE=dialogue(3, JOE, PERSON, GREETINGS, film=film)) == SEGMENTS


def test_of_two_lines_with_one_number_the_first_is_spoken(tmp_path: Path) -> None:
    twice = [*PERSON, (6, "Another.*01With.*01More segments.")]
    assert segments(tmp_path, APE=dialogue(3, JOE, twice, GREETINGS)) == SEGMENTS


def test_dialogues_are_told_apart_by_their_keys(tmp_path: Path) -> None:
    one, other = (dialogue(key, JOE, PERSON, GREETINGS) for key in (3, 42))
    found = segments(tmp_path, ONE=one, OTHER=other)
    assert len(found) == 2 * len(SEGMENTS)
    assert found["420006P2"] == found["030006P2"] == "You are."


@pytest.mark.parametrize(
    "content",
    [
        b"short",
        dialogue(3, JOE, PERSON, GREETINGS)[:300],
        dialogue(3, JOE, PERSON, GREETINGS, menus=1)[:20] + dialogue(3, JOE, PERSON, GREETINGS, menus=2)[22:],
        dialogue(3, JOE, PERSON, GREETINGS).replace(b"Who...", b"Who\xe9.."),
        dialogue(3, [], PERSON, GREETINGS)[:24] + b"\0\3\0\1" + dialogue(3, [], PERSON, GREETINGS)[28:],
    ],
    ids=["too_short", "cut_short", "other_menus", "not_ascii", "other_numbers_of_lines"],
)
def test_what_is_no_dialogue_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(DataError, match=r"queen.1c: APE.DOG must be a script \(.+\); get the package flight-of-the"):
        segments(tmp_path, APE=content)


FILM = ["Hey there!*03", "*FRWatch it...*01boy", "*", "0", "*FL*02", "One!"]
SHOWN = {"C1A__011": "Hey there!", "C1A__022": "Watch it...", "C1A__023": "boy", "C1A__061": "One!"}


@pytest.mark.parametrize("zero", [True, False])
@pytest.mark.parametrize("count", [6, -6])
def test_films_have_numbered_lines(tmp_path: Path, zero: bool, count: int) -> None:
    assert segments(tmp_path, ".CUT", C1A=film(count, FILM, zero=zero)) == SHOWN


def test_a_text_before_the_first_line_of_a_film_is_number_0(tmp_path: Path) -> None:
    assert segments(tmp_path, ".CUT", C1A=film(6, ["*FR", *FILM], zero=False)) == SHOWN


def test_a_name_of_five_letters_leads_to_its_sounds(tmp_path: Path) -> None:
    assert segments(tmp_path, ".CUT", C100D=film(11, ["*"] * 10 + ["Yes."])) == {"C100D111": "Yes."}


@pytest.mark.parametrize(
    "content",
    [
        b"short",
        film(6, FILM)[:60],
        film(4, FILM),
        film(7, FILM),
        film(6, FILM).replace(b"Hey", b"H\xe9y"),
        film(6, FILM)[:30] + b"\0\x29" + film(6, FILM)[32:],
    ],
    ids=["too_short", "cut_short", "two_more_texts", "a_text_less", "not_ascii", "another_end"],
)
def test_what_is_no_film_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(DataError, match=r"queen.1c: C1A.CUT must be a script \(.+\); get the package flight-of-the"):
        segments(tmp_path, ".CUT", C1A=content)


def test_general_comments_come_first_and_lie_behind_the_verbs(tmp_path: Path) -> None:
    special = ["Nothing special*24", "c1.CUT", "A bone!*02It's mine*03", "on", "door"]
    general = [f"Remark {number}*03" for number in range(1, 41)]
    text = "\r\n".join([*special, "use", "on", "to", *general, "Insert disk", ""])
    found = segments(tmp_path, ".JAS", QUEEN2=text.encode())
    assert {name: found[name] for name in ("JOE00011", "JOE00401", "JOE00411", "JOE00431", "JOE00432")} == {
        "JOE00011": "Remark 1",
        "JOE00401": "Remark 40",
        "JOE00411": "Nothing special",
        "JOE00431": "A bone!",
        "JOE00432": "It's mine",
    }
    assert "Insert disk" not in found.values()


@pytest.mark.parametrize("content", [b"One\r\ntwo", b"on\r\nto\r\nH\xe9"])
def test_comments_without_their_mark_or_alphabet_are_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(DataError, match=r"QUEEN2.JAS must be a script \("):
        segments(tmp_path, ".JAS", QUEEN2=content)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda whole: whole[:-1], "a file ends at byte .* of "),
        (lambda whole: whole[:40], "cut short within the index of 2 files"),
        (lambda whole: b"PK" + whole[2:], "must begin with QTBL and an index, got b'PKBL'"),
        (lambda whole: b"", "must begin with QTBL and an index, got b''"),
        (lambda whole: whole[:13] + b"\0\0", "must begin with QTBL and an index"),
    ],
    ids=["last_byte", "index", "magic", "empty", "no_files"],
)
def test_a_damaged_archive_is_refused(tmp_path: Path, change, message: str) -> None:
    path = tmp_path / "queen.1c"
    write_archive(path, {"A.SB": b"one", "B.SB": b"two"})
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(DataError, match=message):
        read_archive(path)
