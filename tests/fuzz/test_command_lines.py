"""Command lines by their parsers: done, failed (1) or refused (2), in words for a terminal."""

import argparse
import contextlib
import importlib
import io
import os
import shutil
import unicodedata

import pytest
from hypothesis import strategies as st

from aista.cli.main import main
from aista.cli.verbs import VERBS
from aista.corpora.quickstart import QuickstartCorpus
from aista.errors import RunError
from aista.runs.quickstart_workflow import Quickstart
from aista.testing import contracts
from tests.fuzz import fuzzed
from tests.written_runs import write_run

pytestmark = pytest.mark.usefixtures("all_imported")
PLACES = ["missing", "empty", "run", "written", "file.txt", "faulty.yaml", "tone.wav", "manifest.tsv", "plugin.py"]
WORDS = [
    *["", "-", "--", "-1", "0", "1", "20", "1e400", "nan", "inf", "9" * 5000, "true", "cpu", "cuda:99", "meta", "foo"],
    *[
        "\0",
        "a\0b",
        "\x1b[31mred",
        "\x9b1m",
        "a\nb",
        "\u202e",
        "\udcff",
        "é",
        "a" * 300,
        "x/" * 3000,
        "=",
        "a=b",
        "a.b=[",
    ],
    *[
        "trainer.max_steps=-1",
        "seed=1e400",
        "alignment[5]=x",
        "trainer=&a [*a]",
        "x" * 300 + "=1",
        "llm=missing",
        "key",
    ],
    *["quickstart", "mboshi_fr", "check", "encoder", "conformer", "ot_solver/sinkhorn", "encoder/x", "dataset", "bleu"],
    *["rows=5,seconds=1,source=1,target=1", "rows=x", "best", "last", "dev", "test", "train", "--help", "--x"],
]


WORD = st.sampled_from(WORDS) | st.text(max_size=8)
PLACE = st.sampled_from(PLACES)
INTEGERS = st.integers(-2, 50) | st.integers()
BY_TYPE = {int: INTEGERS.map(str), float: (st.floats(-1, 3) | st.floats()).map(str), None: PLACE | WORD}
RUN = st.sampled_from(["written", "written", *PLACES])
CONFIG = st.sampled_from(["quickstart", "mboshi_fr", "tuning", "layers", "faulty.yaml", "run/config.yaml"])
NAME = st.sampled_from(
    ["check", "quickstart", "conformer", "bleu", "ot_solver/sinkhorn", "encoder", "dataset", "ot_solver"]
)
BY_NAME = {"run": RUN, "runs": RUN, "baseline": RUN, "config": CONFIG, "file": CONFIG} | dict.fromkeys(
    ["name", "kind", "target", "names"], NAME
)
OVERRIDES = st.sampled_from([word for word in WORDS if "=" in word])


def values(action):
    """Words for one argument: most of its type, some of none."""
    if action.choices:
        own = st.sampled_from([str(choice) for choice in action.choices])
    elif "=" in str(action.metavar):
        own = OVERRIDES
    else:
        own = BY_NAME.get(action.dest, BY_TYPE.get(action.type, PLACE))
    least = int(action.nargs not in ("*", "?"))
    most = 3 if action.nargs in ("*", "+") else 1
    return st.lists(st.one_of(own, own, own, WORD), min_size=least, max_size=most)


@st.composite
def arguments(draw, verb):
    """What a verb's parser asks for, some of its options, and now and then a word that belongs nowhere."""
    parser = argparse.ArgumentParser()
    importlib.import_module(f"aista.cli.{verb}").add_arguments(parser)
    places = [action for action in parser._actions if not action.option_strings]
    options = [action for action in parser._actions[1:] if action.option_strings]
    parts = [draw(values(action)) for action in places]
    options += [action for action in options if action.dest == "config"] * 4  # without one not much is done
    for action in draw(st.lists(st.sampled_from(options), max_size=3)) if options else []:
        flag = draw(st.sampled_from(action.option_strings))
        parts.append([flag, *([] if action.nargs == 0 else draw(values(action)))])
    if draw(st.integers(0, 9)) == 0:
        parts.append([draw(WORD)])
    return [verb, *(text for part in parts for text in part)]


def refuse(*args, **kwargs):
    raise RunError("this would take long")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A run folder with all that reports and comparisons read, and no checkpoint."""
    return write_run(tmp_path_factory.mktemp("written") / "run", aligned=True)


@pytest.fixture(scope="module")
def place(folder):
    """The working directory is ``folder``; what would train, prepare data or run all contracts is refused."""
    before = os.getcwd()
    os.chdir(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Quickstart, "run", refuse)
        patch.setattr(QuickstartCorpus, "prepare", refuse)
        patch.setattr(contracts, "run", refuse)
        yield folder
    os.chdir(before)


def furnish(folder, written):
    shutil.copytree(written, folder / "written")
    (folder / "empty").mkdir()
    (folder / "run").mkdir()
    (folder / "run" / "config.yaml").write_text("seed: -1\n")
    for name, text in {
        "file.txt": "text\n",
        "faulty.yaml": "encodr: {}\n",
        "manifest.tsv": "id\taudio\n\x1b\tx.wav\n",
        "plugin.py": "",
        "tone.wav": "RIFF",
    }.items():
        (folder / name).write_text(text)


def is_raw(character):
    return (unicodedata.category(character) in ("Cc", "Cs") and character not in "\n\t") or character in "\u202e\u2066"


@fuzzed(examples=150, line=st.sampled_from(sorted(VERBS)).flatmap(arguments))
def test_a_command_is_done_or_refused(line, folder, place, written):
    furnish(folder, written)
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(line)
        except SystemExit as error:  # argparse
            code = error.code
    printed = err.getvalue()
    assert code in (0, 1, 2), printed
    assert "Traceback" not in printed
    assert code == 0 or printed or out.getvalue()
    assert not [character for character in printed + out.getvalue() if is_raw(character)]
