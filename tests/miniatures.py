"""Published corpora in miniature: their layouts with invented sentences and noise, built where a test needs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import soundfile

__all__ = ["common_voice", "covost2", "europarl_st", "fleurs", "librispeech", "mls", "must_c", "write_m4a"]

RATE = 16_000


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal(round(seconds * RATE)).astype(np.float32)


def write_audio(path: Path, seconds: float = 1.0, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    form = {"format": "OGG", "subtype": "OPUS"} if path.suffix == ".opus" else {}
    soundfile.write(str(path), noise(seconds, seed), RATE, **form)


def write_m4a(path: Path, samples_W: np.ndarray, rate: int = RATE) -> None:
    """AAC in MPEG-4, as Europarl-ST has it."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format="ipod") as media:
        stream = media.add_stream("aac", rate=rate)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(samples_W[None].astype(np.float32), format="fltp", layout="mono")
        frame.sample_rate = rate
        resampler = av.AudioResampler(format=stream.format, layout="mono", rate=rate, frame_size=stream.frame_size)
        for part in resampler.resample(frame) + resampler.resample(None):
            part.pts = None
            media.mux(stream.encode(part))
        media.mux(stream.encode(None))


def write_lines(path: Path, lines: Sequence[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(f"{line}\n" for line in lines).encode())


def write_table(path: Path, *rows: Sequence[str]) -> None:
    write_lines(path, ["\t".join(row) for row in rows])


def librispeech(root: Path) -> Path:
    """LibriSpeech with three of its subsets: train-clean-100 (two chapters), dev-clean, test-other."""
    for subset, chapters in {
        "train-clean-100": {"19/198": ["FOUR GEESE", "A FIFTH"], "26/495": ["NO MORE"]},
        "dev-clean": {"84/121": ["THE GATE"]},
        "test-other": {"367/130": ["LAST WORDS"]},
    }.items():
        for chapter, texts in chapters.items():
            folder, stem = root / "LibriSpeech" / subset / chapter, chapter.replace("/", "-")
            for index in range(len(texts)):
                write_audio(folder / f"{stem}-{index:04}.flac", 0.5 + index / 10, index)
            write_lines(folder / f"{stem}.trans.txt", [f"{stem}-{index:04} {text}" for index, text in enumerate(texts)])
    return root / "LibriSpeech"


CLIPS = {
    "train": ['"Yes," he said.', "Two\u2028lines?", "Three."],
    "dev": ["Four?"],
    "test": ["Five."],
}


def common_voice(root: Path, *, version: int = 17) -> Path:
    """A language of Common Voice: the columns of release 17, or the fewer and other ones of release 4."""
    folder = root / "cv-corpus" / "en"
    late = ["client_id", "path", "sentence_id", "sentence", "sentence_domain", "up_votes", "locale", "segment"]
    early = ["client_id", "path", "sentence", "up_votes", "down_votes", "age", "gender", "accent"]
    columns = late if version >= 17 else early
    everything = []
    for split, sentences in CLIPS.items():
        rows = []
        for index, sentence in enumerate(sentences):
            name = f"common_voice_en_{split}{index}.mp3"
            write_audio(folder / "clips" / name, 0.5, index)
            known = {"client_id": f"voice{index}", "path": name, "sentence": sentence, "up_votes": "2", "locale": "en"}
            rows.append([known.get(column, "") for column in columns])
        write_table(folder / f"{split}.tsv", columns, *rows)
        everything += rows
    write_table(folder / "validated.tsv", columns, *everything)
    return folder


def covost2(root: Path, *, joint: bool = True) -> Path:
    """Common Voice 4 with CoVoST's table of en-de, published form or the three splits, and of en-zh-CN."""
    folder = common_voice(root, version=4)
    for pair in ("en_de", "en_zh-CN"):
        rows = []
        for split, sentences in CLIPS.items():
            own = []
            for index, sentence in enumerate(sentences):
                name = f"common_voice_en_{split}{index}.mp3"
                rows.append([name, f'"{pair}" {split} {index}', "train_covost" if index == 2 else split])
                own.append([name, sentence, f'"{pair}" {split} {index}', f"voice{index}"])
            if not joint:
                write_table(
                    folder / f"covost_v2.{pair}.{split}.tsv", ["path", "sentence", "translation", "client_id"], *own
                )
        if joint:
            write_table(folder / f"covost_v2.{pair}.tsv", ["path", "translation", "split"], *rows)
    return folder


FLEURS = {
    "train": {"7": "Seven swans, {}.", "8": 'The "eighth" one, {}.', "9": "Only here, {}."},
    "dev": {"1": "One, {}."},
    "test": {"2": "Two, {}."},
}


def fleurs(root: Path, languages: Mapping[str, Sequence[str]] | None = None) -> Path:
    """FLEURS as its repository has it: languages -> sentences that they lack. Two speakers read sentence 7."""
    languages = {"en_us": (), "fr_fr": ("9",), "cmn_hans_cn": ()} if languages is None else languages
    for number, (language, lacking) in enumerate(languages.items()):
        folder = root / "data" / language
        for split, sentences in FLEURS.items():
            rows = []
            for sentence, text in sentences.items():
                if sentence in lacking:
                    continue
                for speaker in range(2 if sentence == "7" else 1):
                    name = f"{1000 * number + 10 * int(sentence) + speaker}.wav"
                    write_audio(folder / "audio" / split / name, 0.5, speaker)
                    raw = text.format(language)
                    plain = raw.lower().replace(",", "").replace(".", "").replace('"', "")
                    rows.append([sentence, name, raw, plain, " ".join(plain), "8000", "FEMALE"])
            write_table(folder / f"{split}.tsv", *rows)
    return root / "data"


TALKS = {"train": [1, 2], "dev": [3], "tst-COMMON": [4], "tst-HE": [5]}


def must_c(root: Path, targets: Sequence[str] = ("de",)) -> Path:
    """MuST-C: talks of 3 s with two segments each, the first of which holds a separator that splits no line."""
    for target in targets:
        for split, talks in TALKS.items():
            folder = root / f"en-{target}" / "data" / split
            segments, source, translated = [], [], []
            for talk in talks:
                write_audio(folder / "wav" / f"ted_{talk}.wav", 3, talk)
                for index, (offset, duration) in enumerate([(0.25, 1.0), (1.5, 1.25)]):
                    segments.append(
                        f"- {{duration: {duration:.6f}, offset: {offset:.6f}, rW: 9, uW: 0, "
                        f"speaker_id: spk.{talk}, wav: ted_{talk}.wav}}"
                    )
                    source.append(f"Talk {talk},\x85part {index}.")
                    translated.append(f"{target} {talk}\u2028{index}")
            write_lines(folder / "txt" / f"{split}.yaml", segments)
            write_lines(folder / "txt" / f"{split}.en", source)
            write_lines(folder / "txt" / f"{split}.{target}", translated)
    return root


def europarl_st(root: Path) -> Path:
    """Europarl-ST v1.1: en into de and fr, de into en; m4a speeches of 3 s with two segments each."""
    base = root / "v1.1"
    for source, targets in {"en": ("de", "fr"), "de": ("en",)}.items():
        for number, split in enumerate(("train", "train-noisy", "dev", "test")):
            speech = f"{source}.20080924.{number}.3-243"
            write_m4a(base / source / "audios" / f"{speech}.m4a", noise(3, number))
            for target in targets:
                folder = base / source / target / split
                write_lines(folder / "speeches.lst", [speech])
                write_lines(folder / "speakers.lst", [f"EP_{number}"])
                write_lines(folder / "segments.lst", [f"{speech} 0.25 1.25", f"{speech} 1.50 2.75"])
                write_lines(folder / f"segments.{source}", [f"Madam {number}.", f"Sir {number}."])
                write_lines(folder / f"segments.{target}", [f"{target} {number}.", f"{target} again {number}."])
    return base


def mls(root: Path) -> Path:
    """A language of Multilingual LibriSpeech: train in FLAC with two books, dev and test in Opus."""
    folder = root / "mls_german"
    for split, ids in {"train": ["10_20_000000", "11_21_000003"], "dev": ["12_22_000000"], "test": ["13_23_0"]}.items():
        for id in ids:
            speaker, book, _ = id.split("_")
            ending = "flac" if split == "train" else "opus"
            write_audio(folder / split / "audio" / speaker / book / f"{id}.{ending}", 0.5)
        write_lines(folder / split / "transcripts.txt", [f"{id}\tein satz von {id}" for id in ids])
    return folder
