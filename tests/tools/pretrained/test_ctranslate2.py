import random
import struct

import pytest
import torch

from aista.errors import DataError
from tests.tools.pretrained.ct2_file import array, model_bytes, string
from tools.pretrained.ctranslate2 import read_ctranslate2

TENSORS = {
    "a/weight": torch.arange(6, dtype=torch.float16).view(2, 3),
    "b/weight": torch.tensor([[1.5], [-2.0]]),
    "half": torch.tensor([0.1, 3.0], dtype=torch.bfloat16),
    "tiny": torch.tensor([-1, 7], dtype=torch.int8),
    "short": torch.tensor(-3, dtype=torch.int16),
    "int": torch.tensor([1 << 20], dtype=torch.int32),
}


@pytest.fixture
def read(tmp_path):
    def read(data):
        path = tmp_path / "model.bin"
        path.write_bytes(data)
        return read_ctranslate2(path)

    return read


def test_gives_back_what_was_written(read):
    model = read(model_bytes(TENSORS, {"other": "a/weight"}))
    assert (model.spec, model.revision, dict(model.aliases)) == ("WhisperSpec", 3, {"other": "a/weight"})
    assert model.tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert model.tensors[name].dtype == tensor.dtype
        assert torch.equal(model.tensors[name], tensor)


def test_every_truncation_is_an_error_that_names_the_file_and_the_byte(read):
    whole = model_bytes(TENSORS, {"other": "a/weight"})
    for size in range(len(whole)):
        with pytest.raises(
            DataError, match=r"model\.bin: damaged at byte \d+: .* needs \d+ bytes, the file has \d+ left"
        ):
            read(whole[:size])


def test_flipped_bytes_of_the_structure_never_end_in_another_exception(read):
    whole, generator = model_bytes(TENSORS, {"other": "a/weight"}), random.Random(1)
    outcomes = set()
    for _ in range(400):
        data = bytearray(whole)
        data[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
        try:
            read(bytes(data))
            outcomes.add("read")  # the flip was inside of a number
        except DataError:
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}


def header(count):
    return struct.pack("<I", 6) + string("WhisperSpec") + struct.pack("<II", 3, count)


NO_ALIASES = struct.pack("<I", 0)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (model_bytes({}, version=4), "of version 6 starts with that number, got 4; convert the model with CTranslate2"),
        (model_bytes(TENSORS) + b"x", "1 bytes follow the end of the model"),
        (model_bytes(TENSORS, {"x": "y"}), "the alias x stands for y, which does not exist"),
        (header(2) + 2 * array("a", torch.ones(1)) + NO_ALIASES, "the array a is there twice"),
        (header(1) + array("a", torch.ones(1), kind=6) + NO_ALIASES, "a has the unknown type 6"),
        (header(1) + array("a", torch.ones(2), size=4) + NO_ALIASES, r"a of shape \[2\] and type torch.float32 cannot"),
        (header(1) + array("a", torch.ones(0)) + NO_ALIASES, r"a of shape \[0\] and type torch.float32 cannot take 0"),
        (header(1) + array("a", torch.ones([1] * 9)) + NO_ALIASES, "a has 9 dimensions"),
        (
            header(1) + struct.pack("<H", 2) + b"ab" + NO_ALIASES,
            "an array's name is not a text that ends with a zero byte",
        ),
    ],
)
def test_what_cannot_be_is_named(read, data, message):
    with pytest.raises(DataError, match=message):
        read(data)
