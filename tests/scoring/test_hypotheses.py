from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aista.errors import DataError
from aista.scoring.hypotheses import HypothesisRow, align, read_hypotheses, sameness, write_hypotheses

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@given(st.lists(st.tuples(TEXT, TEXT, TEXT), max_size=4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_text_survives(tmp_path: Path, texts: list[tuple[str, str, str]]) -> None:
    rows = [HypothesisRow(f"u{number}", *cells) for number, cells in enumerate(texts)]
    write_hypotheses(tmp_path / "h.tsv", rows)
    assert read_hypotheses(tmp_path / "h.tsv") == rows


def test_one_answer_to_everything_is_noticed() -> None:
    references = [f"r{number}" for number in range(30)]
    assert sameness(references, references) == ""
    assert sameness(["a", "b", "c"] * 10, references) == ""
    assert sameness(["a", "b"] * 15, references).startswith(
        "2 different hypotheses for 30 utterances with 30 different"
    )
    assert sameness(["yes"] * 30, ["yes"] * 30) == ""  # where there is one right answer


def test_one_line_per_row_and_no_part_file(tmp_path: Path) -> None:
    write_hypotheses(tmp_path / "h.tsv", [HypothesisRow("a", "s", "r\tr", "x\ny\\n")])
    header = "id\tsrc_text\treference\thypothesis\tsrc_lang\ttgt_lang\n"
    assert (tmp_path / "h.tsv").read_text() == header + "a\ts\tr\\tr\tx\\ny\\\\n\t\t\n"
    assert [path.name for path in tmp_path.iterdir()] == ["h.tsv"]


def test_other_columns_and_orders_are_fine(tmp_path: Path) -> None:
    (tmp_path / "h.tsv").write_text("hypothesis\tid\tscore\treference\tsrc_text\nh\ta\t1\tr\ts\n")
    assert read_hypotheses(tmp_path / "h.tsv") == [HypothesisRow("a", "s", "r", "h")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"id\thypothesis\n", r"h.tsv:1: the header lacks src_text, reference; expects"),
        (b"", r"h.tsv:1: the header lacks id"),
        (b"id\tsrc_text\treference\thypothesis\na\tb\n", r"h.tsv:2: expects 4 cells, as in the header, got 2"),
        (b"id\tsrc_text\treference\thypothesis\n" + b"a\ts\tr\th\n" * 2, r"h.tsv:3: the id 'a' occurs twice"),
        (b"\xff", "h.tsv:1: must be UTF-8, got byte 0xff"),
        ("id\tsrc_text\n".encode("utf-16"), "h.tsv: must be UTF-8, got UTF-16"),
    ],
)
def test_malformed_files_name_the_line(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "h.tsv").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_hypotheses(tmp_path / "h.tsv")


def test_a_missing_file_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no such file; `aista evaluate` writes it"):
        read_hypotheses(tmp_path / "h.tsv")


class TestAlign:
    rows = (HypothesisRow("a", "", "ra", "h1"), HypothesisRow("b", "", "rb", "h2"))

    def test_order_is_the_first_system_s(self) -> None:
        other = [HypothesisRow("b", "", "rb", "k2"), HypothesisRow("a", "", "ra", "k1")]
        rows, hypotheses = align({"x": self.rows, "y": other})
        assert rows == list(self.rows)
        assert hypotheses == {"x": ["h1", "h2"], "y": ["k1", "k2"]}

    def test_other_utterances(self) -> None:
        with pytest.raises(DataError, match=r"'x' and 'y' .* 1 missing in 'y', 0 only there \(e.g. 'b'\)"):
            align({"x": self.rows, "y": self.rows[:1]})
        with pytest.raises(DataError, match=r"0 missing in 'y', 1 only there \(e.g. 'b'\)"):
            align({"x": self.rows[:1], "y": self.rows})

    def test_other_references(self) -> None:
        changed = [self.rows[0], HypothesisRow("b", "", "other", "h")]
        with pytest.raises(DataError, match=r"other references for 1 utterances \(e.g. 'b'\)"):
            align({"x": self.rows, "y": changed})
