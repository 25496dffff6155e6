"""Whatever bytes a manifest and its audio consist of, the check ends with a verdict on each row or one error."""

import io
import os
import struct

import numpy as np
import soundfile
from hypothesis import strategies as st

from aista.data.audio import probe_audio
from aista.data.audio_file import hash_audio
from aista.data.data_config import DataConfig
from aista.data.inspection import inspect
from aista.data.manifest import COLUMNS, read_manifest
from aista.errors import DataError
from aista.testing.dummies import DummyTokenizer
from tests.fuzz import fuzzed

RATE = 16_000
WAVE = 0.3 * np.sin(np.arange(RATE // 4) / 7)
FORMATS = {
    "WAV": "PCM_16",
    "RF64": "PCM_16",
    "W64": "PCM_16",
    "AIFF": "PCM_16",
    "AU": "PCM_16",
    "CAF": "PCM_16",
    "NIST": "PCM_16",
    "FLAC": "PCM_16",
    "OGG": "VORBIS",
    "MP3": "MPEG_LAYER_III",
}


def encode(container, subtype):
    buffer = io.BytesIO()
    soundfile.write(buffer, WAVE, RATE, format=container, subtype=subtype)
    return buffer.getvalue()


AUDIO = {container: encode(container, subtype) for container, subtype in FORMATS.items()}


def outcome(function):
    """What a function returns, or what it says against its input; anything else than a DataError is a failure."""
    try:
        return function(), ""
    except DataError as error:
        return None, str(error)


text = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
numbers = st.one_of(
    st.integers().map(str), st.floats().map(str), st.integers(1, 6_000).map("9".__mul__), st.just(str(RATE // 4))
)
paths = st.one_of(
    st.sampled_from(["a.wav", "a.flac", "cut.wav", "pipe", ".", "", "/dev/zero", "a.wav/b", "loop", "../", "\0", "~"]),
    st.builds("{}:{}:{}".format, st.sampled_from(["a.wav", "pipe", "gone.zip", "."]), numbers, numbers),
    text,
    st.integers(200, 6_000).map("a".__mul__),
)
spans = st.lists(st.one_of(st.just("-"), st.builds("{}-{}".format, numbers, numbers), text), max_size=4).map(" ".join)
cells = {"audio": paths, "n_frames": numbers, "word_times": spans}
rows = st.fixed_dictionaries({name: st.one_of(cells.get(name, text), text, st.just("a")) for name in COLUMNS})
headers = st.one_of(
    st.just(list(COLUMNS)),
    st.permutations(COLUMNS),
    st.lists(st.one_of(st.sampled_from(COLUMNS), text), max_size=12),
)


@st.composite
def tables(draw):
    """A table as bytes: well-formed, or with other line ends, encodings, numbers of cells, and bytes changed."""
    header = draw(headers)
    lines = ["\t".join(header)]
    for row in draw(st.lists(rows, max_size=4)):
        values = [row.get(name, "") for name in header]
        lines.append("\t".join(values[: draw(st.sampled_from([len(values), len(values), len(values) - 1, 0]))]))
    end = draw(st.sampled_from(["\n", "\n", "\n", "\r\n", "\r", "\u2028"]))
    encoding = draw(st.sampled_from(["utf-8"] * 5 + ["utf-8-sig", "utf-16", "utf-16-le", "utf-32", "utf-7"]))
    content = bytearray((end.join(lines) + draw(st.sampled_from([end, ""]))).encode(encoding))
    for place, byte in draw(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=3)):
        if place < len(content):
            content[place] = byte
    return bytes(content)


configs = st.builds(DataConfig, min_seconds=st.sampled_from([0.0, 0.1]), target_language=st.sampled_from(["", "fr"]))


@fuzzed(examples=150, content=st.one_of(tables(), tables(), tables(), st.binary(max_size=300)), config=configs)
def test_manifests(folder, content, config):
    (folder / "a.wav").write_bytes(AUDIO["WAV"])
    (folder / "a.flac").write_bytes(AUDIO["FLAC"])
    (folder / "cut.wav").write_bytes(AUDIO["WAV"][:-100])
    (folder / "loop").symlink_to("loop")
    os.mkfifo(folder / "pipe")
    path = folder / "train.tsv"
    path.write_bytes(content)
    manifest, said = outcome(lambda: read_manifest(path))
    if manifest is None:
        assert said.startswith(str(path))
        return
    for known in (False, True):  # the second time from the files' memory
        inspection = inspect(manifest, config, tokenizer=DummyTokenizer() if known else None)
        assert inspection.counts["kept"] + inspection.counts["bad"] == len(manifest.rows)
        assert all(problem.line >= 2 for problem in inspection.problems)
        assert inspection.summary()
    inspection.to_json()


@st.composite
def recordings(draw):
    """A recording with bytes changed, taken out, doubled or cut off."""
    content = bytearray(AUDIO[draw(st.sampled_from(sorted(AUDIO)))])
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.one_of(st.integers(0, min(200, len(content))), st.integers(0, len(content))))
        match draw(st.sampled_from(["change", "number", "remove", "double", "cut"])):
            case "change":
                content[place : place + 1] = bytes([draw(st.integers(0, 255))])
            case "number":
                order = draw(st.sampled_from("<>"))
                wide = draw(st.sampled_from([0, 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1]))
                content[place : place + 8] = struct.pack(f"{order}Q", wide)
            case "remove":
                del content[place : place + draw(st.integers(1, 50))]
            case "double":
                content[place:place] = content[max(0, place - 100) : place]
            case "cut":
                del content[place:]
    return bytes(content)


@fuzzed(examples=150, content=recordings(), name=st.sampled_from(["a", "a.wav", "a.mp3"]))
def test_recordings(folder, content, name):
    (folder / name).write_bytes(content)
    for spec in (name, f"{name}:0:{len(content)}"):
        hash_audio(spec, folder)
        info, said = outcome(lambda spec=spec: probe_audio(spec, folder, max_seconds=30))
        assert said.startswith(f"{spec}: ") if info is None else 0 < info.seconds <= 30
