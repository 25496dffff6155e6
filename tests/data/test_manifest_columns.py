"""A manifest with other columns: the rest stays, and audio is found from the new place."""

import pytest

from aista.data.manifest import read_manifest
from aista.data.manifest_columns import moved_audio, write_columns
from aista.errors import DataError

TEXT = (
    "tgt_text\tnote\tid\taudio\tn_frames\r\n"
    '"un\t x \ta\tclips/a.wav\t160\r\n'
    "deux\t\tb\tc.zip:10:20\t160\r\n"
    "trois\té\tc\t\t0\r\n"
)


@pytest.fixture
def manifest(tmp_path):
    folder = tmp_path / "data"
    (folder / "clips").mkdir(parents=True)
    (folder / "m.tsv").write_bytes(TEXT.encode())
    return read_manifest(folder / "m.tsv")


def test_other_columns_their_order_and_their_spaces_stay(manifest, tmp_path):
    write_columns(manifest, tmp_path / "out.tsv", {"word_times": ["0.000-0.010", "", ""], "n_frames": ["1", "2", "3"]})
    assert (tmp_path / "out.tsv").read_text().split("\n") == [
        "tgt_text\tnote\tid\taudio\tn_frames\tword_times",
        '"un\t x \ta\tclips/a.wav\t1\t0.000-0.010',
        "deux\t\tb\tc.zip:10:20\t2\t",
        "trois\té\tc\t\t3\t",
        "",
    ]


def test_a_changed_manifest_is_not_mixed_up(manifest, tmp_path):
    manifest.path.write_bytes(TEXT.replace("deux\t\tb", "deux\t\tz").encode())
    with pytest.raises(DataError, match="has changed since it was read"):
        write_columns(manifest, tmp_path / "out.tsv", {"word_times": ["", "", ""]})
    assert not (tmp_path / "out.tsv").exists()


def test_audio_is_found_from_the_new_place(manifest, tmp_path):
    assert moved_audio(manifest, manifest.base / "other.tsv") == ["clips/a.wav", "c.zip:10:20", ""]
    assert moved_audio(manifest, tmp_path / "other" / "m.tsv") == ["../data/clips/a.wav", "../data/c.zip:10:20", ""]


def test_absolute_audio_stays(manifest, tmp_path):
    manifest.path.write_bytes(TEXT.replace("clips/a.wav", "/far/a.wav").encode())
    assert moved_audio(read_manifest(manifest.path), tmp_path / "m.tsv")[0] == "/far/a.wav"


def test_links_on_the_way_do_not_mislead(tmp_path):
    (tmp_path / "real" / "deep").mkdir(parents=True)
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "data").symlink_to(tmp_path / "real" / "deep")
    (tmp_path / "real" / "deep" / "m.tsv").write_bytes(TEXT.replace("clips/a.wav", "../a.wav").encode())
    (tmp_path / "real" / "a.wav").touch()
    manifest = read_manifest(tmp_path / "linked" / "data" / "m.tsv")
    moved = moved_audio(manifest, tmp_path / "linked" / "out.tsv")[0]
    assert (tmp_path / "linked" / moved).resolve() == tmp_path / "real" / "a.wav"
