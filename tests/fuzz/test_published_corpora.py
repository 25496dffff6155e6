"""Whatever happens to the tables of a published corpus, reading ends with rows, faults of rows, or one DataError."""

import contextlib
import shutil

import pytest
from hypothesis import strategies as st

from aista.data.sources.base import Languages
from aista.data.sources.columns import match_columns, read_entry
from aista.data.sources.opening import open_source
from aista.errors import DataError
from tests import miniatures
from tests.fuzz import fuzzed
from tests.fuzz.damage import KINDS, damage

CORPORA = {
    "common_voice": Languages(),
    "covost2": Languages("en", "de"),
    "europarl_st": Languages("en", "de"),
    "fleurs": Languages("en", "fr"),
    "librispeech": Languages(),
    "mls": Languages(),
    "must_c": Languages("en", "de"),
}
AUDIO = {".wav", ".flac", ".mp3", ".opus", ".m4a"}


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """The folders of all corpora without a recording, and where each begins."""
    base = tmp_path_factory.mktemp("texts")
    roots = {name: getattr(miniatures, name)(base / name).relative_to(base) for name in CORPORA}
    for file in base.rglob("*"):
        if file.suffix in AUDIO:
            file.unlink()
    return base, roots


@fuzzed(
    examples=60,
    name=st.sampled_from(sorted(CORPORA)),
    place=st.integers(0, 2**20),
    kind=KINDS,
    value=st.integers(0, 255),
    layout=st.sampled_from(["", "", "", *CORPORA]),
)
def test_damaged_tables(all_imported, folder, texts, name, place, kind, value, layout):
    base, roots = texts
    shutil.copytree(base / name, folder / name)
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    damage(files[place % len(files)], kind, place // len(files), value)
    said = _refusal(layout or name, str(folder / roots[name]), CORPORA[name])
    assert not said or str(folder) in said


def _refusal(layout, place, languages):
    """What is said against a corpus; "" where all rows are read, or have a fault. Other exceptions are failures."""
    try:
        for part in open_source(layout).parts(place, languages):
            columns = match_columns(part, {}, {}, {})
            for entry in part.entries():
                with contextlib.suppress(ValueError):
                    entry.fault or read_entry(entry, columns)
    except DataError as error:
        return str(error)
    return ""
