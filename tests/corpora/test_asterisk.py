"""The preparation on a small fake of the packages, unpacked and as .deb files."""

import gzip
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from aista.corpora.asterisk import ENGLISH, SOUNDS, SPEAKERS, TEXTS, VOICES, Asterisk
from aista.corpora.preparation import PreparationReport
from aista.corpora.spoken import text_key
from aista.errors import ConfigError, DataError
from aista.registry import get
from aista.schema import structure
from tests.corpora.debian import write_deb
from tests.corpora.tables import rows

NUM_PROMPTS = 30
OPTIONS = {"languages": ("fr", "es"), "num_dev": 3, "num_test": 5, "vocab_size": 100}
SPLITS = ("train", "dev", "test")
ALPHABET = list("abcdefghijklmnopqrstuvwxyzéñ")


def words(key: str) -> str:
    rng = np.random.default_rng(list(key.encode()))
    return " ".join("".join(rng.choice(ALPHABET, 4)) for _ in range(3))


def write_texts(root: Path, language: str, content: str) -> None:
    path = root / TEXTS / f"asterisk-core-sounds-{language}" / f"core-sounds-{language}.txt.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content.encode("utf-8-sig"), mtime=0))


def write_prompt(root: Path, language: str, name: str) -> None:
    path = root / SOUNDS / SPEAKERS[language] / f"{name}.wav"
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(list(f"{language} {name}".encode())).normal(scale=0.1, size=8000)
    soundfile.write(str(path), noise, 8000, subtype="PCM_16")


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the packages of English, French and Spanish unpack to."""
    root = tmp_path_factory.mktemp("packages")
    names = [f"digits/n{index:02d}" for index in range(NUM_PROMPTS)]
    plain = {
        language: "".join(f"{name}: {words(f'{language} {name}')}\n" for name in names)
        for language in ("en", "fr", "es")
    }
    write_texts(
        root,
        "en",
        "; Core sounds\n\n" + plain["en"] + "at: at [@]\nbeep: [a beep]\ntwice: one\ntwice: two\nnote: Well (softly)\n"
        "aside: Aside.\nphonetic/b_p: bravo\ntime:  The time is: now\nsame: same\nsame: same\nunheard: Unheard.\n",
    )
    write_texts(
        root,
        "fr",
        plain["fr"]
        + "phonetic/b_p: berthe\nat: [@]  arobase\nbeep: bip\ntwice: deux\nnote: Bon\naside: à part <doucement>\n"
        "time: Il est: maintenant\nsame: pareil\nenglish-free: sans anglais\n",
    )
    write_texts(root, "es", plain["es"] + "aside: aparte\n")
    for name in [
        *names,
        "at",
        "beep",
        "twice",
        "note",
        "aside",
        "time",
        "same",
        "english-free",
        "textless",
        "phonetic/b_p",
    ]:
        write_prompt(root, "fr", name)
    for name in [*names, "aside"]:
        write_prompt(root, "es", name)
    for name in [*names, "aside", "unheard", "twice"]:
        write_prompt(root, "en", name)
    return root


def prepare(out: Path, source: Path | None, **changes: object) -> PreparationReport:
    return Asterisk(**{**OPTIONS, **changes}).prepare(out, source=source)


@pytest.fixture(scope="module")
def corpus(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("data") / "asterisk"
    prepare(out, packages)
    return out


def test_is_registered() -> None:
    assert get("dataset", "asterisk").factory is Asterisk


def test_every_dropped_row_is_reported_with_its_reason(corpus: Path) -> None:
    report = prepare(corpus, None)
    assert report.reused
    assert report.dropped == {
        "English text: a note in brackets": ["fr/beep", "fr/note"],
        "English text: two different texts": ["fr/twice"],
        "a note in brackets": ["fr/aside"],
        "a spelling alphabet, no translation": ["fr/phonetic/b_p"],
        "no English text": ["fr/english-free"],
        "no transcript": ["fr/textless"],
    }
    assert sum(report.counts[split] for split in SPLITS) == 2 * NUM_PROMPTS + 4


def test_rows_hold_audio_texts_and_voice(corpus: Path) -> None:
    found = {row["id"]: row for split in SPLITS for row in rows(corpus, split)}
    assert found["fr/digits/n07"] == {
        "id": "fr/digits/n07",
        "audio": "audio/fr/digits/n07.flac",
        "n_frames": "16000",
        "speaker": "fr_CA_f_June",
        "src_text": words("fr digits/n07"),
        "tgt_text": words("en digits/n07"),
        "src_lang": "fr",
        "tgt_lang": "en",
    }
    assert (found["fr/at"]["src_text"], found["fr/at"]["tgt_text"]) == ("arobase", "at")
    assert (found["fr/time"]["src_text"], found["fr/time"]["tgt_text"]) == ("Il est: maintenant", "The time is: now")
    assert found["es/aside"]["tgt_text"] == "Aside."
    for row in found.values():
        info = soundfile.info(str(corpus / row["audio"]))
        assert (info.frames, info.samplerate, info.channels) == (16000, 16000, 1)


@pytest.mark.parametrize("direction", ["corpus", "turned"])
def test_splits_share_no_text(direction: str, request: pytest.FixtureRequest) -> None:
    out = request.getfixturevalue(direction)
    for column in ("src_text", "tgt_text"):
        texts = [{text_key(row[column]) for row in rows(out, split)} for split in SPLITS]
        assert len(set().union(*texts)) == sum(map(len, texts))


@pytest.fixture(scope="module")
def turned(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("data") / "asterisk_en"
    prepare(out, packages, direction="en-x")
    return out


def test_from_english_the_languages_share_its_recordings(turned: Path) -> None:
    found = {row["id"]: row for split in SPLITS for row in rows(turned, split)}
    assert found["fr/digits/n07"] == {
        "id": "fr/digits/n07",
        "audio": "audio/en/digits/n07.flac",
        "n_frames": "16000",
        "speaker": ENGLISH,
        "src_text": words("en digits/n07"),
        "tgt_text": words("fr digits/n07"),
        "src_lang": "en",
        "tgt_lang": "fr",
    }
    assert found["es/digits/n07"]["audio"] == "audio/en/digits/n07.flac"
    assert len(list((turned / "audio").rglob("*.flac"))) == NUM_PROMPTS + 1
    assert {row["tgt_lang"] for row in rows(turned, "test_es")} == {"es"}
    report = prepare(turned, None, direction="en-x")
    assert report.dropped == {
        "English text: two different texts": ["es/twice", "fr/twice"],
        "a note in brackets": ["fr/aside"],
        "no translation": ["es/unheard", "fr/unheard"],
    }


def test_from_english_only_english_need_be_recorded(packages: Path, tmp_path: Path) -> None:
    shutil.copytree(packages, tmp_path / "part")
    shutil.rmtree(tmp_path / "part" / SOUNDS / VOICES["es"])
    shutil.rmtree(tmp_path / "part" / SOUNDS / VOICES["fr"])
    assert prepare(tmp_path / "out", tmp_path / "part", direction="en-x").counts["test"] == 10
    shutil.rmtree(tmp_path / "part" / SOUNDS / ENGLISH)
    with pytest.raises(DataError, match=r"no .*Allison; apt-get download .*-core-sounds-en-wav,"):
        prepare(tmp_path / "again", tmp_path / "part", direction="en-x")


def test_package_files_give_the_same_bytes(packages: Path, corpus: Path, tmp_path: Path) -> None:
    debs = tmp_path / "debs"
    debs.mkdir()
    write_deb(packages, debs / "asterisk-core-sounds-all_1_all.deb")
    prepare(tmp_path / "out", debs)
    assert (tmp_path / "out" / "checksums.txt").read_bytes() == (corpus / "checksums.txt").read_bytes()


def test_without_packages_it_says_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"apt-get download asterisk-core-sounds-en asterisk-core-sounds-fr .*-es-wav,"):
        prepare(tmp_path / "out", None)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "missing",
    [f"{TEXTS}/asterisk-core-sounds-en", f"{TEXTS}/asterisk-core-sounds-es", f"{SOUNDS}/{VOICES['es']}"],
)
def test_a_missing_package_is_named(packages: Path, tmp_path: Path, missing: str) -> None:
    shutil.copytree(packages, tmp_path / "part")
    shutil.rmtree(tmp_path / "part" / missing)
    with pytest.raises(DataError, match=rf"no {missing}.*; apt-get download "):
        prepare(tmp_path / "out", tmp_path / "part")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"plain text", "core-sounds-fr.txt.gz must be gzip-compressed UTF-8 text"),
        (gzip.compress(b"at: a\n")[:-6], "core-sounds-fr.txt.gz must be gzip-compressed UTF-8 text"),
        (gzip.compress("at: été".encode("latin-1")), "core-sounds-fr.txt.gz must be gzip-compressed UTF-8 text"),
        (gzip.compress(b"; comment\nat\n"), r"core-sounds-fr.txt.gz:2: lines must be NAME: TEXT, got 'at'"),
    ],
    ids=["not_gzip", "cut_short", "not_utf8", "no_colon"],  # gzip writes the time: the bytes differ between workers
)
def test_unreadable_texts_are_reported(packages: Path, tmp_path: Path, content: bytes, message: str) -> None:
    shutil.copytree(packages, tmp_path / "part")
    (tmp_path / "part" / TEXTS / "asterisk-core-sounds-fr" / "core-sounds-fr.txt.gz").write_bytes(content)
    with pytest.raises(DataError, match=message):
        prepare(tmp_path / "out", tmp_path / "part")


def test_unknown_languages_are_reported() -> None:
    with pytest.raises(ConfigError, match="languages must be among es, fr, it, ru, got de, en"):
        structure(Asterisk, {"languages": ["de", "fr", "en"]}, source="test")
