import os
import subprocess
import sys

import pytest

from aista.cli.verbs import SUB_VERBS, VERBS


def completions(line, tmp_path):
    """What a shell is told at the end of a line."""
    answer = tmp_path / "answer"
    asked = {"_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line)), "_ARGCOMPLETE_IFS": "\n"}
    environment = os.environ | asked | {"_ARGCOMPLETE_STDOUT_FILENAME": str(answer), "_ARGCOMPLETE_SUPPRESS_SPACE": "1"}
    subprocess.run([sys.executable, "-m", "aista"], env=environment, cwd=tmp_path, check=True, capture_output=True)
    return answer.read_text().split("\n")


def test_commands(tmp_path):
    assert set(completions("aista ", tmp_path)) >= {*VERBS}
    assert completions("aista eval", tmp_path) == ["evaluate"]


def test_options_of_a_command_and_of_one_in_two_words(tmp_path):
    assert {"--split", "--task"} <= set(completions("aista evaluate runs/a --", tmp_path))
    assert "--source-language" in completions("aista data import out --source-l", tmp_path)


def test_choices_and_files(tmp_path):
    assert set(completions("aista evaluate r --task ", tmp_path)) >= {"st", "asr", "mt", "cot"}
    (tmp_path / "mine").mkdir()
    assert any(answer.startswith("mine") for answer in completions("aista evaluate mi", tmp_path))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell(aista, shell):
    code, out, err = aista("completion", shell)
    assert (code, err) == (0, "")
    assert "_ARGCOMPLETE" in out
    assert "aista" in out


def test_bash_reads_its_script(aista):
    script = aista("completion", "bash")[1]
    subprocess.run(["bash", "-n"], input=script.encode(), check=True)


def test_every_command_in_two_words_begins_with_one():
    assert {name.split()[0] for name in SUB_VERBS} <= VERBS.keys()
