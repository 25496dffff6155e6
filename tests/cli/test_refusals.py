"""What the system refuses, for each command: one line with place and remedy, before the work, and nothing changed."""

import builtins
import ctypes
import errno
import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from aista.engine.inference import evaluate as evaluation
from aista.engine.inference import probe as probing
from aista.files import _REMEDIES
from aista.locks import locked
from aista.modules.lsm import LargeSpeechTextModel
from aista.run_folder.paths import RunPaths
from tests.finished import finish
from tests.tiny import make_corpus, tiny_config
from tests.written_runs import write_run

ERRORS = [
    errno.EACCES, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENAMETOOLONG, errno.EIO, errno.ESTALE
]  # fmt: skip
WRITING = {"evaluate", "probe", "report", "export", "train", "ablate", "data", "quickstart"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A corpus, a config, a run that looks finished, two evaluated ones, an ablation file."""
    folder = tmp_path_factory.mktemp("refusals")
    corpus = make_corpus(folder / "corpus", num_train=4, num_dev=2)
    finish(folder, tiny_config(corpus))
    (folder / "run" / "evaluation").mkdir()
    (folder / "run" / "probe").mkdir()
    for name in ("one", "two"):
        shutil.copy(folder / "run" / "config.yaml", write_run(folder / "written" / name))
    ablation = {"base": str(folder / "config.yaml"), "runs": {"base": {}}}
    (folder / "ablation.yaml").write_text(yaml.safe_dump(ablation))
    (folder / "out").mkdir()
    return folder


SMALL = ["num_train=40", "num_dev=1", "num_test=1", "num_text=0"]
COMMANDS = {
    "train": (["train", "{}/out/run", "--config", "{}/config.yaml"], "out"),
    "evaluate": (["evaluate", "{}/run"], "run/evaluation"),
    "probe": (["probe", "{}/run"], "run/probe"),
    "report": (["report", "{}/written/one", "--out", "{}/out/page.html"], "out"),
    "export": (["export", "{}/run", "{}/out/export"], "out"),
    "ablate": (["ablate", "{}/ablation.yaml", "--out", "{}/out/ablation"], "out"),
    "data": (["data", "quickstart", "{}/out/data", *SMALL], "out"),
    "quickstart": (["quickstart", "{}/out/quick", "--data", "{}/out/data"], "out"),
    "translate": (["translate", "{}/run", "{}/corpus/audio/test0.wav"], "run/checkpoints"),
    "compare": (["compare", "{}/written/one", "{}/written/two"], "written/two/evaluation"),
    "dump": (["train", "{}/run", "--dump-config"], "run/config.yaml"),
    "check": (["data", "check", "{}/corpus/test.tsv"], "corpus/test.tsv"),
}


def command(folder, name):
    arguments, place = COMMANDS[name]
    return [text.format(folder) for text in arguments], folder / place


def contents(folder):
    return sorted(str(path) for path in folder.rglob("*"))


def one_line(err):
    """The message, and that no other line is there but the log's, which begin with the time."""
    lines = [line for line in err.splitlines() if not line[:2].isdigit()]
    assert len(lines) == 1, err
    return lines[0]


@pytest.fixture
def refuse(monkeypatch):
    """Lets the system refuse an error for whatever a command opens or makes below a path."""

    def install(number, place, *, writing):
        def wrap(module, name):
            original = getattr(module, name)

            def call(path, *args, **kwargs):
                flags = args[0] if args else kwargs.get("mode", "r")
                writes = name in ("mkdir", "replace", "rename") or (
                    bool(flags & (os.O_WRONLY | os.O_RDWR))
                    if isinstance(flags, int)
                    else bool(set(flags) & set("wax+"))
                )
                is_below = isinstance(path, (str, os.PathLike)) and Path(path).is_relative_to(place)
                if is_below and (writes or not writing):
                    raise OSError(number, os.strerror(number), str(path))
                return original(path, *args, **kwargs)

            monkeypatch.setattr(module, name, call)

        for module, name in [
            (os, "open"),
            (os, "mkdir"),
            (os, "replace"),
            (os, "rename"),
            (io, "open"),
            (builtins, "open"),
        ]:
            wrap(module, name)

    return install


@pytest.fixture
def _no_work(monkeypatch):
    """No command gets as far as to open a model, train, or speak a corpus."""

    def work(*args, **kwargs):
        raise AssertionError("the work began")

    monkeypatch.setattr(evaluation, "open_run", work)
    monkeypatch.setattr(probing, "open_run", work)
    monkeypatch.setattr(LargeSpeechTextModel, "__init__", work)
    monkeypatch.setattr("aista.runs.report_assembly.make_report", work)
    monkeypatch.setattr("aista.runs.ablation.sweep.run_jobs", work)
    monkeypatch.setattr("aista.corpora.synthetic.speech.Speaker.__init__", work)


@pytest.mark.usefixtures("_no_work")
@pytest.mark.parametrize("number", ERRORS, ids=errno.errorcode.get)
@pytest.mark.parametrize("name", sorted(WRITING))
def test_a_refused_write_is_one_line_before_the_work(folder, aista, refuse, name, number):
    arguments, place = command(folder, name)
    before = contents(folder)
    refuse(number, place, writing=True)
    code, _, err = aista(*arguments)
    line = one_line(err)
    assert code == 1
    assert str(place) in line
    assert f"{os.strerror(number)}; {_REMEDIES[number]}" in line
    assert contents(folder) == before


@pytest.mark.parametrize("number", [errno.EACCES, errno.EMFILE, errno.EIO, errno.ESTALE], ids=errno.errorcode.get)
@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - WRITING))
def test_a_refused_read_is_one_line(folder, aista, refuse, name, number):
    arguments, place = command(folder, name)
    refuse(number, place, writing=False)
    code, _, err = aista(*arguments)
    line = one_line(err)
    assert code in (1, 2)
    assert str(place) in line
    assert os.strerror(number) in line


@pytest.mark.usefixtures("_no_work")
@pytest.mark.parametrize("bad", ["\0", "x" * 256, "a/" + "y" * 300, "file/x", "loop/x"], ids=repr)
@pytest.mark.parametrize("name", ["train", "report", "export", "ablate", "data", "quickstart"])
def test_an_impossible_name_is_one_line_before_the_work(folder, tmp_path, aista, name, bad):
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    arguments, _ = command(folder, name)
    out = f"{folder}/out/"
    code, _, err = aista(*(f"{tmp_path}/{bad}" if text.startswith(out) else text for text in arguments))
    line = one_line(err)
    assert code in (1, 2)
    assert "; " in line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "loop"]


def test_a_device_that_is_not_there_is_one_line(folder, aista):
    code, _, err = aista("evaluate", folder / "run", "--device", "cudaa")
    assert code == 2
    assert "--device: unknown 'cudaa'" in one_line(err)
    assert "cpu" in err


REAL = """
import os, resource, sys
from aista.cli.main import main
from aista.engine.inference import evaluate, probe
from aista.engine.export import write
from aista.runs import report_assembly

folder = sys.argv[1]
cases = {
    "no permission": lambda: [os.chmod(f"{folder}/{name}", 0o555) for name in ("run/evaluation", "run/probe", "out")],
    "no size": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
}
commands = [
    ["train", f"{folder}/out/run", "--config", f"{folder}/config.yaml"],
    ["evaluate", f"{folder}/run"],
    ["probe", f"{folder}/run"],
    ["report", f"{folder}/written/one", "--out", f"{folder}/out/page.html"],
    ["export", f"{folder}/run", f"{folder}/out/export"],
]
for limit in cases.values():
    for command in commands:
        sys.stdout.flush()
        if not os.fork():
            os.dup2(1, 2)
            limit()
            code = main(command)
            print("code", code, flush=True)
            os._exit(0)
        os.wait()
    for name in ("run/evaluation", "run/probe", "out"):
        os.chmod(f"{folder}/{name}", 0o755)
"""
CAP_DAC_OVERRIDE, PR_CAPBSET_DROP = 1, 24


def without_override():
    """Let permissions hold for root too, in the process that is about to be started."""
    if os.geteuid() == 0:
        ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0)


@pytest.mark.slow
def test_real_limits_are_one_line_each(folder):
    process = subprocess.run(
        [sys.executable, "-c", REAL, str(folder)],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=without_override,
    )
    lines = [line for line in process.stdout.splitlines() if not line[:2].isdigit()]
    messages, codes = lines[::2], lines[1::2]
    assert codes == ["code 1"] * 10, process.stdout
    assert all("Permission denied; this user lacks the permission" in message for message in messages[:5]), messages
    assert all("File too large; raise the largest size" in message for message in messages[5:]), messages


def test_a_run_is_evaluated_while_it_trains_but_not_twice_at_a_time(folder, aista):
    run = RunPaths(folder / "run")
    with locked(run.training_lock, run.path):
        assert aista("evaluate", run.path)[0] == 0
    with locked(run.evaluation_lock("test"), run.evaluation_dir):
        code, _, err = aista("evaluate", run.path)
    assert code == 1
    assert f"{run.evaluation_dir}/test: in use by process {os.getpid()} on " in one_line(err)
