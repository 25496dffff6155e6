import errno
import os
import re
import subprocess
import sys
import types

import pytest

from aista import __version__
from aista.cli.main import main
from aista.cli.verbs import VERBS
from aista.errors import ConfigError, DataError, Fault, RunError


@pytest.fixture
def verb(monkeypatch):
    """Make ``aista list`` run a function instead."""

    def install(function):
        module = types.SimpleNamespace(add_arguments=lambda parser: parser.add_argument("--x"), run=function)
        monkeypatch.setitem(sys.modules, "aista.cli.list", module)

    return install


def raiser(error):
    def run(args):
        raise error

    return run


def test_help_lists_every_verb_with_its_summary_and_two_examples(aista):
    code, out, err = aista("--help")
    assert (code, err) == (0, "")
    for name, summary in VERBS.items():
        assert f"  {name}" in out
        assert summary in out
    assert out.count("\n  aista ") == 2


def test_version(aista):
    assert aista("--version") == (0, f"aista {__version__}\n", "")


def test_no_verb_shows_the_help_as_an_error(aista):
    code, out, err = aista()
    assert (code, out) == (2, "")
    assert "commands" in err


@pytest.mark.parametrize("arguments", [["lst"], ["lst", "--help"]])
def test_an_unknown_verb_names_the_nearest(aista, arguments):
    assert aista(*arguments) == (2, "", "aista: unknown command 'lst' (did you mean 'list'?); see aista --help\n")


def test_an_unknown_option(aista):
    code, out, err = aista("--wrong")
    assert (code, out) == (2, "")
    assert "unrecognized arguments: --wrong" in err


def test_the_verbs_exit_code_is_the_commands(aista, verb):
    verb(lambda args: int(args.x))
    assert aista("list", "--x", "7") == (7, "", "")


def test_errors_become_messages_and_exit_codes(aista, verb):
    verb(raiser(DataError("row 3 has no audio")))
    assert aista("list") == (2, "", "aista: row 3 has no audio\n")
    verb(raiser(RunError("no checkpoint")))
    assert aista("list") == (1, "", "aista: no checkpoint\n")


def test_a_config_error_is_one_line_per_fault(aista, verb):
    faults = [Fault("a.b", "must be at least 1, got 0"), Fault("a.yaml:3", "key 'c' is given twice"), Fault("", "bad")]
    verb(raiser(ConfigError(faults, "a.yaml")))
    lines = "a.yaml: a.b: must be at least 1, got 0\na.yaml:3: key 'c' is given twice\na.yaml: (top level): bad\n"
    assert aista("list") == (2, "", lines)


def test_an_interrupt_is_one_line(aista, verb):
    verb(raiser(KeyboardInterrupt()))
    assert aista("list") == (130, "", "aista: interrupted\n")


REFUSED = {
    PermissionError(errno.EACCES, "Permission denied", "run/x"): "run/x: cannot be used: Permission denied; this user",
    OSError(errno.EIO, "Input/output error"): "Input/output error; the disk or its network failed",
    OSError("of a library\nthat has no number"): "of a library that has no number; check the path",
    MemoryError("wave of 3 GiB"): "out of memory: wave of 3 GiB; end other programs",
    ValueError("embedded null byte"): "embedded null byte; choose another name",
    UnicodeEncodeError(
        "utf-8", "\udcff", 0, 1, "surrogates not allowed"
    ): "surrogates not allowed; choose another name",
}


@pytest.mark.parametrize("error", REFUSED, ids=repr)
def test_what_the_system_refuses_is_one_line(aista, verb, error):
    verb(raiser(error))
    code, out, err = aista("list")
    assert (code, out) == (1, "")
    assert re.fullmatch(rf"aista: [^\n]*{re.escape(REFUSED[error])}[^\n]*\n", err)


def test_a_bug_keeps_its_traceback(aista, verb):
    verb(raiser(ZeroDivisionError("a bug")))
    with pytest.raises(ZeroDivisionError):
        aista("list")


TALKATIVE = """
import sys, types
def run(args):
    print("x" * {size})
    return 0
sys.modules["aista.cli.list"] = types.SimpleNamespace(add_arguments=lambda parser: None, run=run)
from aista.cli.main import main
sys.exit(main(["list"]))
"""


SIZES = pytest.mark.parametrize("size", [1, 1_000_000])


@SIZES
def test_a_closed_pipe_is_no_error(size):
    command = [sys.executable, "-c", TALKATIVE.format(size=size)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 141


@SIZES
def test_a_full_disk_behind_the_output_is_one_line(size):
    command = [sys.executable, "-c", TALKATIVE.format(size=size)]
    with open("/dev/full", "w") as full:
        environment = {**os.environ, "PYTHONUNBUFFERED": ""}
        process = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, env=environment, check=False)
    assert (process.returncode, process.stderr.count("\n")) == (1, 1)
    assert "No space left on device; make room there" in process.stderr


@pytest.mark.parametrize("name", sorted(VERBS))
def test_every_verb_has_a_module_with_help(aista, name):
    code, out, _ = aista(name, "--help")
    assert code == 0
    assert out.startswith(f"usage: aista {name}")


@pytest.mark.parametrize(("asked", "kept"), [(None, "64"), ("7", "7")])
def test_onednn_keeps_few_kernels_unless_the_user_says_otherwise(monkeypatch, asked, kept):
    monkeypatch.setenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "?")  # so that it is restored
    if asked is None:
        monkeypatch.delenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY")
    else:
        monkeypatch.setenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", asked)
    assert main(["list", "tuning"]) == 0
    assert os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] == kept
