"""The tutorials run as they are written."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import Python
from tools.notebooks import FENCE, PAGES, notebook

TUTORIALS = sorted((Path(__file__).parents[2] / "docs" / "tutorials").glob("*.md"))


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")  # make finds aista
    return tmp_path


def run_command(line):
    """``aista`` in a process that has imported what it needs; anything else as a shell runs it."""
    with open("printed.txt", "w+") as printed:
        if not line.startswith("aista "):
            line = re.sub(r"^python\b", sys.executable, line)
            code = subprocess.run(line, shell=True, stdout=printed, stderr=subprocess.STDOUT).returncode
        else:
            words = subprocess.run(["bash", "-c", f"printf '%s\\0' {line}"], capture_output=True, text=True, check=True)
            code = Python([sys.executable, "-m", *words.stdout.split("\0")[:-1]], stdout=printed).wait()
    return code, Path("printed.txt").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_it_runs(page, here):
    names = {"__name__": "__main__"}
    for language, file, text in FENCE.findall(page.read_text()):
        if file:
            (here / file).write_text(text)
        elif language == "python":
            exec(compile(text, page.name, "exec"), names)
        elif language == "bash":
            for line in text.replace("\\\n", " ").splitlines():
                code, printed = run_command(line)
                print(f"$ {line}\n{printed}")
                assert (code != 0) == line.endswith("# fails")


def test_there_is_something_to_run():
    assert len(TUTORIALS) >= 4
    for page in TUTORIALS:
        assert {"python", "bash"} <= {language for language, _, _ in FENCE.findall(page.read_text())}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_notebook_is_its_page(page):
    assert page.with_suffix(".ipynb").read_text() == notebook(page.read_text()), "run python -m tools.notebooks"


def test_cells_are_the_blocks_of_the_page():
    page = "# Title\n\nText.\n\n```bash\naista list\n```\n\n```text\nprinted\n```\n\n```python\nx = 1\n```\n\nEnd.\n"
    cells = json.loads(notebook(page))["cells"]
    assert [(cell["cell_type"], "".join(cell["source"])) for cell in cells] == [
        ("markdown", "# Title\n\nText."),
        ("code", "%%bash\naista list"),
        ("markdown", "```text\nprinted\n```"),
        ("code", "x = 1"),
        ("markdown", "End."),
    ]
