"""The preparation on a small fake of the package: a folder of stamps, an unpacked package and a .deb file."""

from pathlib import Path

import numpy as np
import pytest
import sentencepiece
import soundfile

from aista.corpora.preparation import PreparationReport
from aista.corpora.spoken import text_key
from aista.corpora.tuxpaint import ROOT, Tuxpaint
from aista.errors import ConfigError, DataError
from aista.registry import get
from aista.schema import structure
from tests.corpora.debian import write_deb
from tests.corpora.tables import rows

NUM_DESCRIPTIONS = 30
OPTIONS = {"num_dev": 3, "num_test": 5, "vocab_size": 100}
SPLITS = ("train", "dev", "test")


def text(key: str) -> str:
    rng = np.random.default_rng(list(key.encode()))
    return " ".join("".join(rng.choice(list("abcdefghijklmnopqrstuvwxyzéñ"), 4)) for _ in range(3))


def noise(key: str, *, seconds: float = 1.0, channels: int = 1, rate: int = 16000, scale: float = 0.1) -> np.ndarray:
    return np.random.default_rng(list(key.encode())).normal(scale=scale, size=(int(rate * seconds), channels))


def write(
    root: Path,
    name: str,
    english: str | None,
    translations: dict[str, str],
    *,
    samples: np.ndarray | None = None,
    rate: int = 16000,
    suffix: str = "ogg",
) -> None:
    """One stamp, with a recording in each language of ``translations``."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if english is not None:
        lines = [
            english,
            "de.utf8=Niemand sprach das.",
            *(f"{key}.utf8={value}" for key, value in translations.items()),
        ]
        path.with_name(f"{path.name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for language in translations:
        wave = noise(f"{name} {language}") if samples is None else samples
        subtype = "FLOAT" if suffix == "wav" else "VORBIS"
        soundfile.write(str(root / f"{name}_desc_{language}.{suffix}"), wave, rate, subtype=subtype)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An unpacked package. French and Spanish are spoken everywhere, Romanian in one place."""
    package = tmp_path_factory.mktemp("package")
    root = package / ROOT
    for index in range(NUM_DESCRIPTIONS):
        name = f"animals/stamp{index:02d}"
        write(root, name, f"A  {text(f'en {index}')}.", {"fr": f"Un {text(f'fr {index}')}.", "es": text(f"es {index}")})
    write(root, "town/bull", "A bull.", {"fr": "Un taureau.", "ro": "Un taur."}, samples=noise("bull"))
    write(root, "town/bull_mirrored", "A bull!", {"fr": "Un  TAUREAU"}, samples=noise("bull"))
    write(root, "town/bass", "A bass.", {"fr": "Une basse."}, samples=noise("bass"))
    write(root, "town/tuba", "A tuba.", {"fr": "Un tuba."}, samples=noise("bass"))
    write(root, "town/brief", "A brief word.", {"fr": "Oui."}, samples=noise("brief", seconds=0.19))
    write(root, "town/endless", "A long word.", {"fr": "Non."}, samples=noise("endless", seconds=30.1))
    write(root, "town/hasty", "A hasty word.", {"fr": text("hasty 1") + text("hasty 2")}, samples=noise("h"))
    write(root, "town/silent", "A mute.", {"fr": "Un muet."}, samples=noise("silent", scale=0.001))
    write(root, "town/nan", "A number.", {"fr": "Un nombre."}, samples=np.full((16000, 1), np.nan), suffix="wav")
    write(root, "town/empty", "A hole.", {"fr": "Un trou."}, samples=np.zeros((16000, 1)), suffix="wav")
    (root / "town/empty_desc_fr.wav").write_bytes((root / "town/empty_desc_fr.wav").read_bytes()[:80])
    write(root, "town/broken", "A crack.", {"fr": "Une fente."})
    (root / "town/broken_desc_fr.ogg").write_bytes(b"OggS nothing more")
    write(root, "town/orphan", None, {"fr": "Un orphelin."})
    write(root, "town/untold", "An untold story.", {"fr": " . "})
    write(root, "town/nameless", " ", {"fr": "Un inconnu."})
    write(root, "town/latin", "A summer.", {"fr": "Un été."})
    (root / "town/latin.txt").write_bytes("A summer.\nfr.utf8=Un été.\n".encode("latin-1"))
    (root / "town/cow.ogg").write_bytes(b"a sound effect, not a description")
    return package


def prepare(out: Path, source: Path | None, **changes: object) -> PreparationReport:
    return Tuxpaint(**{**OPTIONS, **changes}).prepare(out, source=source)


@pytest.fixture(scope="module")
def corpus(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("data") / "tuxpaint"
    prepare(out, package / ROOT)
    return out


def test_is_registered() -> None:
    assert get("dataset", "tuxpaint").factory is Tuxpaint


def test_every_dropped_row_is_reported_with_its_reason(package: Path, corpus: Path) -> None:
    report = prepare(corpus, None)
    assert report.dropped == {
        ".txt is not UTF-8": ["fr/town/latin"],
        "more than 25 characters per second": ["fr/town/hasty"],
        "no .txt file": ["fr/town/orphan"],
        "no English text": ["fr/town/nameless"],
        "no transcript": ["fr/town/untold"],
        "one recording with several transcripts": ["fr/town/bass", "fr/town/tuba"],
        "recording is longer than 30 s": ["fr/town/endless"],
        "recording is shorter than 0.2 s": ["fr/town/brief"],
        "recording is silent": ["fr/town/silent"],
        "recording is unreadable": ["fr/town/broken", "fr/town/empty", "fr/town/nan"],
        "the recording of an earlier row again": ["fr/town/bull_mirrored"],
    }
    assert sum(report.counts[split] for split in SPLITS) == 2 * NUM_DESCRIPTIONS + 1
    seconds = sum(int(row["n_frames"]) for row in rows(corpus, "test")) / 16000
    assert report.hours["test"] == pytest.approx(seconds / 3600)
    readme = (corpus / "README.md").read_text("utf-8")
    assert "| the recording of an earlier row again | 1 |" in readme
    assert f"| train | {report.counts['train']} |" in readme


def test_rows_hold_audio_and_texts(corpus: Path) -> None:
    found = {row["id"]: row for split in SPLITS for row in rows(corpus, split)}
    assert found["fr/animals/stamp07"] == {
        "id": "fr/animals/stamp07",
        "audio": "audio/fr/animals/stamp07.flac",
        "n_frames": "16000",
        "speaker": "",
        "src_text": f"Un {text('fr 7')}.",
        "tgt_text": f"A {text('en 7')}.",
        "src_lang": "fr",
        "tgt_lang": "en",
    }
    for row in found.values():
        info = soundfile.info(str(corpus / row["audio"]))
        assert (info.frames, info.samplerate, info.channels) == (int(row["n_frames"]), 16000, 1)
    audio = {path.relative_to(corpus).as_posix() for path in (corpus / "audio").rglob("*.flac")}
    assert audio == {row["audio"] for row in found.values()}
    model = sentencepiece.SentencePieceProcessor(model_file=str(corpus / "spm.model"))
    assert (model.get_piece_size(), model.piece_to_id("<en>")) == (100, 4)
    characters = sentencepiece.SentencePieceProcessor(model_file=str(corpus / "spm_source.model"))
    train = rows(corpus, "train")[0]["src_text"]
    assert {len(piece) for piece in characters.encode(train, out_type=str)} == {1}


def test_splits_share_no_text(corpus: Path) -> None:
    for column in ("src_text", "tgt_text"):
        texts = [{text_key(row[column]) for row in rows(corpus, split)} for split in SPLITS]
        assert len(set().union(*texts)) == sum(map(len, texts))
    assert len({row["tgt_text"] for row in rows(corpus, "dev")}) <= 3
    assert len({row["tgt_text"] for row in rows(corpus, "test")}) <= 5


def test_every_language_has_manifests_of_its_own(corpus: Path) -> None:
    for split in SPLITS:
        assert rows(corpus, f"{split}_fr") + rows(corpus, f"{split}_es") == rows(corpus, split)
        assert {row["src_lang"] for row in rows(corpus, f"{split}_es")} == {"es"}


def test_a_description_has_the_same_split_whichever_languages_are_asked_for(
    package: Path, corpus: Path, tmp_path: Path
) -> None:
    prepare(tmp_path / "es", package, languages=("es",))
    assert not list((tmp_path / "es").glob("*_es.tsv"))
    for split in SPLITS:
        assert rows(tmp_path / "es", split) == rows(corpus, f"{split}_es")


def test_another_seed_draws_other_splits(package: Path, corpus: Path, tmp_path: Path) -> None:
    prepare(tmp_path / "out", package, seed=2)
    assert rows(tmp_path / "out", "test") != rows(corpus, "test")


def test_recordings_become_16_khz_mono_without_clipping(tmp_path: Path) -> None:
    root = tmp_path / "stamps"
    time = np.arange(44100) / 44100
    tone = np.stack([3.0 * np.sin(2 * np.pi * 440 * time), np.zeros_like(time)], axis=1)
    write(root, "tone", text("en"), {"fr": text("fr")}, samples=tone, rate=44100, suffix="wav")
    for index in range(20):
        write(root, f"noise{index}", text(f"en {index}"), {"fr": text(f"fr {index}")})
    prepare(tmp_path / "out", root, languages=["fr"])
    row = next(row for split in SPLITS for row in rows(tmp_path / "out", split) if row["id"] == "fr/tone")
    wave, rate = soundfile.read(str(tmp_path / "out" / row["audio"]))
    assert (wave.shape, rate) == ((16000,), 16000)
    expected = np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    inner = slice(200, -200)  # the resampling filter meets the ends of the recording
    assert np.corrcoef(wave[inner], expected[inner])[0, 1] > 0.9999
    assert np.abs(wave).max() == pytest.approx(1.0, abs=1e-3)
    assert np.count_nonzero(np.abs(wave) > 0.999) < 0.05 * len(wave)


def test_a_package_file_and_both_folders_give_the_same_bytes(package: Path, corpus: Path, tmp_path: Path) -> None:
    expected = (corpus / "checksums.txt").read_bytes()
    for name, source in {"unpacked": package, "deb": write_deb(package, tmp_path / "stamps.deb")}.items():
        prepare(tmp_path / name, source)
        assert (tmp_path / name / "checksums.txt").read_bytes() == expected


def test_a_complete_folder_needs_no_package(corpus: Path) -> None:
    again = prepare(corpus, None)
    assert again.reused
    with pytest.raises(DataError, match="already prepared with options"):
        prepare(corpus, None, seed=2)


def test_interrupted_preparation_is_continued(package: Path, corpus: Path, tmp_path: Path) -> None:
    def interrupt(stage: str, done: int, total: int) -> None:
        if stage == "audio es" and done == 9:
            raise KeyboardInterrupt

    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        Tuxpaint(**OPTIONS).prepare(out, source=package, progress=interrupt)
    kept = {path: path.stat().st_mtime_ns for path in (out / "audio").rglob("*.flac")}
    assert len(kept) == NUM_DESCRIPTIONS + 1
    prepare(out, package)
    assert (out / "checksums.txt").read_bytes() == (corpus / "checksums.txt").read_bytes()
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def test_without_a_package_it_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"apt-get download tuxpaint-stamps-default, then give the file with --from"):
        prepare(tmp_path / "out", None)
    assert not (tmp_path / "out").exists()


def test_wrong_sources_are_reported(package: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for source in (tmp_path / "empty", write_deb(package, tmp_path / "other.deb", folder="opt")):
        with pytest.raises(
            DataError, match=rf"--from {source}: no spoken descriptions .* is it tuxpaint-stamps-default"
        ):
            prepare(tmp_path / "out", source)
    assert not (tmp_path / "out").exists()


def test_languages_without_recordings_are_reported(package: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"got de, xx; there are es, fr, ro"):
        prepare(tmp_path / "out", package, languages=("fr", "de", "xx"))
    with pytest.raises(
        DataError, match=r"no usable row is left for \w+, \w+ \(none was left out\); choose other sizes or languages"
    ):
        prepare(tmp_path / "ro", package, languages=("ro",))


@pytest.mark.parametrize("sizes", [{"num_test": 200}, {"num_test": 30, "num_dev": 12}, {"num_dev": 36}])
def test_too_large_splits_are_reported(package: Path, tmp_path: Path, sizes: dict[str, int]) -> None:
    with pytest.raises(DataError, match=r"num_\w+=\d+ of 41 English sentences is too many; lower it"):
        prepare(tmp_path / "out", package, **sizes)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("languages", [[], ["fr", "fr"]])
def test_options_name_each_language_once(languages: list[str]) -> None:
    with pytest.raises(ConfigError, match="at least one language, each once"):
        structure(Tuxpaint, {"languages": languages}, source="test")
