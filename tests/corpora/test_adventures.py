"""The preparation on small fakes of the packages, unpacked and as .deb files."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from aista.corpora.adventures import TRANSLATIONS, Adventures
from aista.corpora.games import amazon_queen, drascula, steel_sky
from aista.corpora.preparation import PreparationReport
from aista.corpora.spoken import text_key
from aista.errors import ConfigError, DataError
from aista.registry import get
from aista.schema import structure
from tests.corpora.debian import write_deb
from tests.corpora.games.files import dialogue, film, mp3, write_archive, write_index, write_tables
from tests.corpora.tables import rows

NUM_LINES = 40
OPTIONS = {"num_dev": 3, "num_test": 6, "vocab_size": 100}
SPLITS = ("train", "dev", "test")
NOTICE = "License: {free}\n .\n 1) You may distribute this game."
DOC = "usr/share/doc/{}/copyright"


def words(key: str) -> str:
    rng = np.random.default_rng(list(key.encode()))
    return " ".join("".join(rng.choice(list("ABCDEFGHJKLMNOPQRSTUVWXYZ"), 4)) for _ in range(3))


def line(number: int) -> dict[str, str]:
    return {language: words(f"{language} {number}") for language in drascula.LANGUAGES}


def special_lines() -> list[dict[str, str]]:
    """Behind the usual lines: 40 silent, 41 empty, 42 too fast, 43 without French, 44 as line 1 in Spanish."""
    silent, fast, untranslated, again = line(40), line(42), line(43), line(44)
    return [silent, dict.fromkeys(silent, ""), fast, untranslated | {"fr": ""}, again | {"es": line(1)["es"]}]


def write_sound(path: Path, seconds: float = 1.5, *, silent: bool = False) -> None:
    rng = np.random.default_rng(list(path.name.encode()))
    levels = np.ones(int(seconds * 11_025)) if silent else rng.normal(scale=12, size=int(seconds * 11_025))
    path.write_bytes((levels.clip(-127, 127) + 128).astype(np.uint8).tobytes())


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the three packages unpack to."""
    root = tmp_path_factory.mktemp("packages")
    lines = [*map(line, range(NUM_LINES)), *special_lines()]
    tables = [
        {language: [one[language] if not letter else "" for one in lines] for language in drascula.LANGUAGES}
        for letter in drascula.TABLES
    ]
    folder = root / drascula.FOLDER
    write_tables(folder / drascula.TEXTS, tables)
    for number in range(len(lines)):
        write_sound(folder / f"{number}.ALS", 0.3 if number == 42 else 1.5, silent=number == 40)
    write_sound(folder / "S1.ALS")
    joe = [(0, "Hello there, folks.*02"), *((number, words(f"joe {number}")) for number in range(1, 10))]
    joe += [(10 + number, one["en"].capitalize()) for number, one in enumerate(lines) if one["en"]]
    talk = dialogue(2, joe, [(1, "*01Not spoken.*02Spoken.")], ("Hello Joe.", "Hi."))
    names = [f"02{number:04X}J1" for number, _ in joe[1:]] + [
        "020001P3",
        "020001P2",
        "02FFFFP1",
        "02SSSSJ1",
        "1000SSSS",
        "C1A__011",
    ]
    sounds = {f"{name}.SB": mp3(name) for name in names if name != "020001P2"}
    write_archive(root / amazon_queen.FILE, {"BOB.DOG": talk, "C1A.CUT": film(1, ["In a film.*02"]), **sounds})
    write_index(root / steel_sky.FILE, [1, 50_007, 50_011])
    for game in (drascula, amazon_queen):
        notice = root / DOC.format(game.PACKAGE)
        notice.parent.mkdir(parents=True)
        notice.write_text(f"{game.PACKAGE}\n{NOTICE}", encoding="utf-8")
    return root


def prepare(out: Path, source: Path | None, **changes: object) -> PreparationReport:
    return Adventures(**{**OPTIONS, **changes}).prepare(out, source=source)


@pytest.fixture(scope="module")
def corpus(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("data") / "adventures"
    prepare(out, packages)
    return out


def test_is_registered() -> None:
    assert get("dataset", "adventures").factory is Adventures


def test_every_dropped_row_is_reported_with_its_reason(corpus: Path) -> None:
    report = prepare(corpus, None)
    assert report.reused
    in_test = {row["id"].split("_")[1] for row in rows(corpus, "test_de")}
    in_dev = {row["id"].split("_")[1] for row in rows(corpus, "dev_de")}
    expected = {
        "Amazon Queen: a sound without a text": ["fotaq_02FFFFP1", "fotaq_1000SSSS"],
        "Beneath a Steel Sky: the code of its texts is not in the package": ["bass_50007", "bass_50011"],
        "Drascula: a sound that belongs to no line of dialogue": ["dras_S1"],
        "Drascula: the line of dialogue is empty": ["dras_41"],
        "more than 25 characters per second": ["de/dras_42", "fr/dras_42"],
        "no translation": ["fr/dras_43"],
        "recording is silent": ["de/dras_40", "fr/dras_40"],
    }
    for split, numbers in {"test": in_test, "dev": in_dev}.items():
        ids = sorted(f"fotaq_02{10 + int(number):04X}J1" for number in numbers)
        assert set(ids) <= set(report.dropped.pop(f"no translation, and its text is in {split}"))
    assert report.dropped == expected
    assert sum(report.counts[f"{split}_fr"] for split in SPLITS) == NUM_LINES + 1
    assert sum(report.counts[f"{split}_de"] for split in SPLITS) == NUM_LINES + 2


def test_rows_hold_audio_texts_and_source(corpus: Path) -> None:
    found = {row["id"]: row for split in SPLITS for row in rows(corpus, split)}
    assert found["fr/dras_7"] == {
        "id": "fr/dras_7",
        "audio": "audio/en/dras_7.flac",
        "n_frames": "24000",
        "speaker": "drascula",
        "src_text": words("en 7").capitalize(),
        "tgt_text": words("fr 7").capitalize(),
        "src_lang": "en",
        "tgt_lang": "fr",
    }
    assert found["de/dras_7"]["tgt_text"] == words("de 7").capitalize()
    for row in found.values():
        info = soundfile.info(str(corpus / row["audio"]))
        assert (info.frames, info.samplerate, info.channels) == (int(row["n_frames"]), 16000, 1)


def test_audio_is_the_lines_own(corpus: Path, packages: Path) -> None:
    samples, _ = soundfile.read(str(corpus / "audio/en/dras_7.flac"))
    original = np.frombuffer((packages / drascula.FOLDER / "7.ALS").read_bytes(), np.uint8) / 128 - 1
    instants = np.arange(len(samples)) / 16_000
    resampled = np.interp(instants, np.arange(len(original)) / 11_025, original)
    other = np.frombuffer((packages / drascula.FOLDER / "8.ALS").read_bytes(), np.uint8) / 128 - 1
    assert np.corrcoef(samples, resampled)[0, 1] > 0.8
    assert abs(np.corrcoef(samples, np.interp(instants, np.arange(len(other)) / 11_025, other))[0, 1]) < 0.1


def test_splits_share_no_text_in_any_language(corpus: Path) -> None:
    split_of: dict[tuple[str, str], str] = {}
    numbers = {row["id"].partition("_")[2]: split for split in SPLITS for row in rows(corpus, split)}
    lines = dict(enumerate([*map(line, range(NUM_LINES)), *special_lines()]))
    for number, split in numbers.items():
        for language, text in lines[int(number)].items():
            if text:
                assert split_of.setdefault((language, text_key(text)), split) == split
    assert numbers["1"] == numbers["44"]  # their Spanish is the same, though Spanish was not asked for


def test_hear_en_has_transcripts_of_train_and_of_the_other_game(corpus: Path) -> None:
    heard = {row["id"]: row for row in rows(corpus, "hear_en")}
    assert {(row["tgt_text"], row["src_lang"], row["tgt_lang"]) for row in heard.values()} == {("", "en", "")}
    assert heard["fotaq_020001P3"]["src_text"] == "Spoken."
    assert heard["fotaq_C1A__011"]["src_text"] == "In a film."
    assert heard["fotaq_02SSSSJ1"]["src_text"] == "Hello there, folks."
    assert heard["fotaq_020003J1"]["speaker"] == "fotaq"
    train = {row["id"].partition("/")[2]: row for row in rows(corpus, "train")}
    assert {name for name in heard if name.startswith("dras")} == set(train)
    assert all(heard[name]["audio"] == row["audio"] for name, row in train.items())
    apart = {text_key(row["src_text"]) for split in ("dev", "test") for row in rows(corpus, split)}
    assert apart.isdisjoint(text_key(row["src_text"]) for row in heard.values())


def test_the_readme_names_changes_and_keeps_the_notices(corpus: Path) -> None:
    text = (corpus / "README.md").read_text(encoding="utf-8")
    assert "a modified version" in text
    assert "    License: {free}\n     .\n     1) You may distribute this game." in text
    assert all(f"    {game.PACKAGE}\n" in text for game in (drascula, amazon_queen))
    assert "John Passfield" in text


def test_package_files_give_the_same_bytes(packages: Path, corpus: Path, tmp_path: Path) -> None:
    debs = tmp_path / "debs"
    debs.mkdir()
    for game in (drascula, amazon_queen, steel_sky):
        write_deb(packages, debs / f"{game.PACKAGE}_1_all.deb")
    shutil.copy(debs / "drascula_1_all.deb", debs / "drascula-french_1_all.deb")
    prepare(tmp_path / "out", debs)
    assert (tmp_path / "out" / "checksums.txt").read_bytes() == (corpus / "checksums.txt").read_bytes()


def test_an_interrupted_preparation_is_continued(packages: Path, corpus: Path, tmp_path: Path) -> None:
    shutil.copytree(corpus, tmp_path / "out")
    (tmp_path / "out" / "train.tsv").unlink()
    (tmp_path / "out" / "audio/en/fotaq_020003J1.flac").unlink()
    kept = (tmp_path / "out" / "audio/en/dras_7.flac").stat().st_mtime_ns
    assert not prepare(tmp_path / "out", packages).reused
    assert (tmp_path / "out" / "checksums.txt").read_bytes() == (corpus / "checksums.txt").read_bytes()
    assert (tmp_path / "out" / "audio/en/dras_7.flac").stat().st_mtime_ns == kept


def test_the_draw_does_not_depend_on_languages_or_the_other_game(packages: Path, corpus: Path, tmp_path: Path) -> None:
    shutil.copytree(packages, tmp_path / "one")
    (tmp_path / "one" / amazon_queen.FILE).unlink()
    (tmp_path / "one" / DOC.format(drascula.PACKAGE)).unlink()
    report = prepare(tmp_path / "out", tmp_path / "one", languages=("ru",), amazon_queen=False)
    assert set(report.counts) == set(SPLITS)
    assert {row["id"][3:] for row in rows(tmp_path / "out", "test")} == {
        row["id"][3:] for row in rows(corpus, "test_de")
    }
    assert {row["tgt_text"] for row in rows(tmp_path / "out", "test")} <= {
        words(f"ru {number}").capitalize() for number in range(NUM_LINES + len(special_lines()))
    }
    readme = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "Amazon" not in readme
    assert "(no usr/share/doc/drascula/copyright)" in readme


def test_without_packages_it_says_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"apt-get download drascula flight-of-the-amazon-queen, then give"):
        prepare(tmp_path / "out", None)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("game", [drascula, amazon_queen])
def test_a_missing_package_is_named(packages: Path, tmp_path: Path, game) -> None:
    debs = tmp_path / "debs"
    debs.mkdir()
    other = amazon_queen if game is drascula else drascula
    root = tmp_path / "root"
    place = other.FOLDER if other is drascula else other.FILE
    (root / place).parent.mkdir(parents=True)
    (shutil.copytree if other is drascula else shutil.copy)(packages / place, root / place)
    write_deb(root, debs / f"{other.PACKAGE}_1_all.deb")
    with pytest.raises(
        DataError, match=rf"--from .*debs: no package {game.PACKAGE}; apt-get download drascula flight-"
    ):
        prepare(tmp_path / "out", debs)
    assert not (tmp_path / "out").exists()


def test_a_damaged_archive_leaves_no_folder(packages: Path, tmp_path: Path) -> None:
    shutil.copytree(packages, tmp_path / "part")
    path = tmp_path / "part" / amazon_queen.FILE
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"queen.1c: cut short"):
        prepare(tmp_path / "out", tmp_path / "part")
    assert not (tmp_path / "out").exists()


def test_unknown_languages_are_reported() -> None:
    with pytest.raises(ConfigError, match="languages must be among de, es, fr, it, ru, got en, pl"):
        structure(Adventures, {"languages": ["fr", "en", "pl"]}, source="test")
    assert structure(Adventures, {"languages": list(TRANSLATIONS)}, source="test").languages == TRANSLATIONS
