"""A bad argument is one line with the rule, before anything is opened."""

import pytest
import torch

from aista.engine.inference.trained_run import find_device
from aista.errors import AistaError
from tests.written_runs import write_run

DIGITS = "9" * 5000


@pytest.mark.parametrize(
    ("command", "option", "values"),
    [
        ("evaluate", "--batch-size", ["0", "-3", "x", "1.5", "", DIGITS]),
        ("translate", "--beam-size", ["0", "-1", "1001", DIGITS]),
        ("probe", "--size", ["1", "nan"]),
        ("probe", "--resamples", ["-1", "1000000000000"]),
        ("export", "--shard-gb", ["0", "-1", "nan", "inf", "1e300", "x"]),
        ("compare", "--samples", ["20", "x", "1000000000000", DIGITS]),
        ("compare", "--seed", ["-1", "9" * 20]),
        ("report", "--audio-mib", ["nan", "inf", "-1"]),
        ("report", "--utterances", ["0"]),
        ("report", "--plans", ["-1", "0.5"]),
        ("ablate", "--jobs", ["0", "-2"]),
        ("train", "--processes", ["0", "-1"]),
        ("quickstart", "--seeds", ["-1"]),
        *(
            (command, "--device", ["foo", "meta", "cuda:99", "cuda:x", "mps", "\x1b[31m"])
            for command in ("evaluate", "probe", "translate", "report")
        ),
    ],
)
def test_a_value_out_of_bounds(aista, tmp_path, monkeypatch, command, option, values):
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "run")
    arguments = {
        "translate": ["run", "a.wav"],
        "compare": ["run", "run"],
        "export": ["run", "out"],
        "ablate": ["quickstart_layers"],
        "quickstart": [],
    }.get(command, ["run"])
    for value in values:
        code, out, err = aista(command, *arguments, f"{option}={value}")
        assert (code, out) == (2, ""), err
        assert err.count("\n") == 1
        assert len(err) < 500
        assert f"{option}: " in err
        assert "got " in err or "unknown " in err


def test_a_second_language_is_refused(aista):
    languages = ("--target-language", "fr", "--target-language", "de")
    code, out, err = aista("translate", "run", "a.wav", *languages)
    assert (code, out) == (2, "")
    assert "--target-language: takes one value here, got 'fr' and 'de'" in err


def test_devices():
    assert find_device("cpu") == "cpu"
    assert find_device("") == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(AistaError, match=r"--device: unknown 'cuda:99'.*; this machine has .*cpu"):
        find_device("cuda:99")
