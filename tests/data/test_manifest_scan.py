"""The fast reader of columns agrees with the strict one, or leaves the manifest to it."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from aista.data import manifest as manifest_module
from aista.data import manifest_scan
from aista.data.manifest import Row, read_manifest, write_manifest
from aista.data.manifest_rows import UNMEASURED
from aista.errors import DataError

cells = st.one_of(
    st.sampled_from(
        ["u1", "u2", "a.wav", "0", "16000", "-1", "1e3", "", " ", "\u200b", "\ufeff", "\u3164", " x ", "é", "\u00a0y"]
    ),
    st.sampled_from(["\r", "a\rb", '"', '"a', "a\\", "\x00", "\x1c", "\u2028", "0.1-0.2", "-", "漢字", "\u3000漢"]),
    st.text(st.characters(exclude_categories=("Cs",)), max_size=4),
)
headers = st.permutations(["id", "audio", "n_frames", "tgt_text", "src_text", "word_times", "colour"])
ends = st.sampled_from(["\n", "\r\n"])


def verdict(path: Path) -> object:
    try:
        return list(manifest_module._read_strictly(path).rows)
    except DataError as error:
        return str(error)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    header=headers,
    rows=st.lists(st.lists(cells, min_size=7, max_size=7), max_size=4),
    end=ends,
    last=st.booleans(),
    bom=st.booleans(),
)
@example(["id", "audio", "tgt_text"], [["u1", "a.wav", "x"]], "\n", False, True)
@example(["id", "audio", "tgt_text"], [["u1", "a.wav", "x"], [""]], "\n", True, False)
def test_both_readers_agree(
    tmp_path: Path, header: list[str], rows: list[list[str]], end: str, last: bool, bom: bool
) -> None:
    path = tmp_path / "some.tsv"
    text = end.join("\t".join(row) for row in (header, *rows)) + end * last
    path.write_bytes(b"\xef\xbb\xbf" * bom + text.encode())
    found = manifest_module._scan(path)
    expected = verdict(path)
    assert found is None or list(found.rows) == expected


@given(content=st.binary(max_size=60))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_bytes_that_are_no_manifest_are_left_to_the_strict_reader(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "some.tsv"
    path.write_bytes(b"id\taudio\ttgt_text\nu1\ta.wav\tx\n" + content)
    found = manifest_module._scan(path)
    assert found is None or list(found.rows) == verdict(path)


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A manifest of several blocks whose columns are kept in a file."""
    monkeypatch.setattr(manifest_scan, "LARGE", 1000)
    monkeypatch.setattr(manifest_scan, "_BLOCK", 4096)
    rows = [Row(f"u{index}", "a.wav", 16_000, f"x {index}", src_text="é" * (index % 3)) for index in range(1000)]
    write_manifest(tmp_path / "train.tsv", rows)
    return tmp_path / "train.tsv"


def test_a_scan_is_the_rule_not_the_exception(large: Path) -> None:
    scanned = manifest_module._scan(large)
    assert scanned is not None
    assert list(scanned.rows) == verdict(large)


def test_the_columns_of_a_large_manifest_are_kept_and_taken_from_there(
    large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = read_manifest(large)
    assert (large.parent / ".train.tsv.rows.arrow").is_file()
    monkeypatch.setattr(manifest_scan, "_scan_into", None)  # would be called
    assert read_manifest(large) == first
    assert first.rows[999].line == 1001


def test_a_changed_manifest_is_read_anew(large: Path) -> None:
    read_manifest(large)
    write_manifest(large, [*read_manifest(large).rows, Row("new", "", 0, "y")])
    assert read_manifest(large).rows[1000].id == "new"


@pytest.mark.parametrize("damage", ["cut", "text", "offsets"])
def test_damaged_columns_are_read_anew(large: Path, damage: str) -> None:
    rows = list(read_manifest(large).rows)
    kept = large.parent / ".train.tsv.rows.arrow"
    if damage == "offsets":
        table = pa.ipc.open_file(str(kept)).read_all()
        inside = b"\xff\xff\xff\x7f" * 999  # the first and the last offset are right
        offsets = pa.py_buffer(bytes(4) + inside + (3).to_bytes(4, "little"))
        broken = pa.StringArray.from_buffers(1000, offsets, pa.py_buffer(b"abc"))
        columns = [pa.chunked_array([broken]) if name == "tgt_text" else table[name] for name in table.column_names]
        with pa.ipc.new_file(str(kept), table.schema) as writer:
            writer.write_table(pa.table(columns, schema=table.schema))
    else:
        kept.write_bytes(kept.read_bytes()[:3000] if damage == "cut" else b"no columns")
    assert list(read_manifest(large).rows) == rows


@pytest.mark.parametrize("line", ["u1\ta.wav\t16000\tagain", "u0x\ta.wav\tmany\tx", "few\tfields"])
def test_faults_of_a_large_manifest_are_named_and_nothing_is_kept(large: Path, line: str) -> None:
    header = large.read_text().splitlines()[0].split("\t")
    fields = (line.split("\t") + [""] * len(header))[: len(header)] if line.count("\t") > 1 else line.split("\t")
    with large.open("a") as file:
        file.write("\t".join(fields) + "\n")
    with pytest.raises(DataError, match=r"1 format fault\n.*train\.tsv:1002: "):
        read_manifest(large)
    assert [path.name for path in large.parent.iterdir()] == ["train.tsv"]


def test_in_a_folder_that_cannot_be_written_rows_are_held_in_memory(
    large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError("read-only")

    monkeypatch.setattr(manifest_scan, "replacing", refuse)
    assert len(read_manifest(large).rows) == 1000


def test_a_manifest_without_lengths_is_unmeasured(tmp_path: Path) -> None:
    path = tmp_path / "some.tsv"
    path.write_text("id\taudio\ttgt_text\nu1\ta.wav\tx\nu2\t\ty\n")
    scanned = manifest_module._scan(path)
    assert scanned is not None
    assert [row.n_frames for row in scanned.rows] == [UNMEASURED, 0]
