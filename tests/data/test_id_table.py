import pytest

from aista.data.id_table import read_id_table, read_ids, some_of
from aista.errors import DataError


def test_columns_are_read_by_id_in_the_order_of_the_file(tmp_path):
    (tmp_path / "t.tsv").write_text("speaker\tid\ttext\nann\tu2\ta b\nbob\tu1\t\n", encoding="utf-8")
    table = read_id_table(tmp_path / "t.tsv")
    assert list(table.column("text").items()) == [("u2", "a b"), ("u1", "")]
    assert table.column("speaker") == {"u2": "ann", "u1": "bob"}
    with pytest.raises(DataError, match=r"t\.tsv:1: has no column 'age'; its columns are speaker, id, text"):
        table.column("age")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "t.tsv:1: the header must name the columns"),
        ("name\ttext\na\tb\n", "one of them id; got 'name"),
        ("id\ttext\ttext\n", "each once"),
        ("id\ttext\na\tb\tc\n", "t.tsv:2: expects 2 cells, as in the header, got 3"),
        ("id\ttext\na\tb\na\tc\n", "t.tsv:3: ids must be unique and not empty, got 'a'"),
        ("id\ttext\n \tb\n", "t.tsv:2: ids must be unique and not empty, got ''"),
    ],
)
def test_faults_name_file_and_line(tmp_path, text, message):
    (tmp_path / "t.tsv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_id_table(tmp_path / "t.tsv")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"gone\.tsv: no such file"):
        read_id_table(tmp_path / "gone.tsv")


def test_ids_stand_one_a_line_or_in_a_column(tmp_path):
    (tmp_path / "ids").write_text("u2\n\nu1 \nu2\n")
    assert read_ids(tmp_path / "ids") == ["u2", "u1"]
    (tmp_path / "t.tsv").write_text("wer\tid\n1/5\tu3\n")
    assert read_ids(tmp_path / "t.tsv") == ["u3"]
    (tmp_path / "t.tsv").write_text("u1\nu3\t1/5\n")
    with pytest.raises(DataError, match=r"t\.tsv:2: must hold one id a line.*got a tab and no such column"):
        read_ids(tmp_path / "t.tsv")
    (tmp_path / "ids").write_text("\n")
    with pytest.raises(DataError, match=r"ids:1: .* got nothing"):
        read_ids(tmp_path / "ids")


def test_ids_for_a_message():
    assert some_of(["a", "b"]) == "a, b"
    assert some_of(["a", "b", "c"], most=2) == "a, b and 1 more"
