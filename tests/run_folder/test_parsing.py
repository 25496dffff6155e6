"""What a run folder's files hold is what was written, or an error names the file."""

import json

import pytest

from aista.errors import RunError
from aista.run_folder.metric_records import append_record, read_records
from aista.run_folder.parsing import read_object, require_unedited, sealed_text, write_object

RECORD = {"step": 7, "rates": (0.1, 3e-3), "text": "gößer", "nested": {2: None, 10: True}}
AS_READ = {"step": 7, "rates": [0.1, 3e-3], "text": "gößer", "nested": {"2": None, "10": True}}


@pytest.fixture
def file(tmp_path):
    file = tmp_path / "record.json"
    write_object(file, RECORD)
    return file


def test_an_object_is_read_as_it_was_written(file):
    assert read_object(file, "make") == AS_READ


def test_every_flipped_bit_is_noticed_or_changes_nothing(file):
    content = file.read_bytes()
    refused = []
    for place in range(len(content)):
        flipped = bytearray(content)
        flipped[place] ^= 1
        file.write_bytes(flipped)
        try:
            assert {key: value for key, value in read_object(file, "make").items() if key in AS_READ} == AS_READ
        except RunError as error:
            refused.append(str(error))
    assert len(refused) > len(content) / 2
    assert all(str(file) in message and "`make` makes it anew" in message for message in refused)


def test_an_object_of_a_hand_is_taken_as_it_is(file):
    file.write_text('{"step": 8}')
    assert read_object(file, "make") == {"step": 8}


@pytest.mark.parametrize("content", [b"", b"[]", b"7", b"\xff", b'{"a": 1', b"[" * 100_000, b'{"checksum": 3}'])
def test_what_is_no_object_names_the_file(file, content):
    file.write_bytes(content)
    with pytest.raises(RunError, match=r"record\.json: incomplete or malformed .* `make` makes it anew"):
        read_object(file, "make")


def test_a_changed_line_of_metrics_is_named(tmp_path):
    file = tmp_path / "train.jsonl"
    for step in (1, 2):
        append_record(file, {"step": step, "nll": 2.5})
    assert read_records(file) == [{"step": 1, "nll": 2.5}, {"step": 2, "nll": 2.5}]
    lines = file.read_text().splitlines()
    file.write_text(f"{lines[0]}\n{json.dumps(json.loads(lines[1]) | {'nll': 2.4})}\n")
    with pytest.raises(RunError, match=r"train\.jsonl:2: .* the content has changed since it was written"):
        read_records(file)


def test_a_metric_that_is_no_number_is_named(tmp_path):
    file = tmp_path / "train.jsonl"
    file.write_text('{"step": 1, "nll": [null, 2]}\n{"step": 2, "nll": "x"}\n')
    with pytest.raises(RunError, match=r"train\.jsonl:2: .*nll must be a number"):
        read_records(file)


def test_an_edited_text_says_how_to_use_it(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text(sealed_text("seed: 1\nname: x\n"))
    require_unedited(file)
    whole = file.read_bytes()
    for end in range(whole.index(b"\n") + 1, len(whole)):
        file.write_bytes(whole[:end])
        with pytest.raises(RunError, match=r"config\.yaml: not as aista wrote it"):
            require_unedited(file)
    edited = whole.decode().replace("seed: 1", "seed: 2")
    file.write_text(edited)
    with pytest.raises(RunError, match=r"config\.yaml: not as aista wrote it.* remove its first line"):
        require_unedited(file)
    file.write_text(edited.partition("\n")[2])
    require_unedited(file)
