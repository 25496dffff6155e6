"""A plain ``pip install aista``: what it is enough for, and what says that more is needed."""

import ast
import functools
import importlib.metadata
import sys
from pathlib import Path

import pytest

import aista
from aista.extras import EXTRAS, MODULES, explain, needs, require
from tests.light import PROJECT, closure, hidden, normal, run_light

PACKAGE = Path(aista.__file__).parent
EXTRA_LINES = PROJECT["optional-dependencies"]
LIGHT_KINDS = (
    *("cost", "mass", "ot_solver", "guide", "alignment_loss", "weight_schedule", "layer_selection", "metric"),
    "tracker",
)
COMMANDS = """
import sys
from aista import registry
from aista.cli.main import main
codes = [main(["list"]), main(["configs"])]
for kind in sys.argv[1:]:
    targets = [f"{kind}/{name}" for name in registry.names(kind)]
    codes += [main(["show", *target.split("/")]) for target in targets]
    codes.append(main(["check", *targets]))
sys.exit(any(codes))
"""


@pytest.mark.slow
def test_losses_selection_and_scoring_need_no_more():
    result = run_light(COMMANDS, *LIGHT_KINDS)
    assert result.returncode == 0, result.stderr[-3000:] + result.stdout[-3000:]
    lines = result.stdout.splitlines()
    checked = {line.split()[1].split("/")[0] for line in lines if line.startswith("PASS")}
    assert checked == set(LIGHT_KINDS)
    assert not [line for line in lines if line.startswith("SKIPPED") and "metric/comet" not in line]
    assert any(line.startswith("  conformer") for line in lines)  # listed, though it cannot be built


def test_texts_are_scored_without_more(tmp_path):
    for name in ("system.txt", "reference.txt"):
        (tmp_path / name).write_text("the cat sat on the mat\nhello there you all\n")
    program = "import sys; from aista.cli.main import main; sys.exit(main(sys.argv[1:]))"
    files = [str(tmp_path / "system.txt"), "--reference", str(tmp_path / "reference.txt")]
    result = run_light(program, "score", *files, "--target-language", "en")
    assert (result.returncode, result.stderr) == (0, "")
    assert "100.0" in result.stdout


REFUSED = """
import aista
from aista.cli.main import main
for arguments in (["train", "run", "--config", "quickstart"], ["translate", "run", "a.wav"], ["evaluate", "run"],
                  ["show", "encoder", "whisper"], ["check", "llm/qwen"], ["data", "quickstart", "out"]):
    print(main(arguments))
try:
    aista.load("run")
except ImportError as error:
    print(error)
"""


def test_what_needs_more_says_which_extra():
    result = run_light(REFUSED)
    assert result.returncode == 0, result.stderr
    assert result.stderr.splitlines() == [
        f"aista{place} {needs(module)}"
        for place, module in (
            (" train", "fairseq2"),
            (" translate", "fairseq2"),
            (" evaluate", "fairseq2"),
            (": encoder 'whisper' (aista.modules.encoders.whisper)", "transformers"),
            (": llm 'qwen' (aista.modules.llms.qwen)", "fairseq2"),
            (": dataset 'quickstart' (aista.corpora.quickstart)", "soundfile"),
        )
    ]
    assert result.stdout.splitlines() == ["2"] * 6 + [f"aista.load {needs('torchaudio')}"]


def test_a_module_of_no_extra_is_a_bug_and_no_remedy_is_made_up(monkeypatch):
    assert needs("silero_vad") == "needs silero-vad, which is not installed; pip install 'aista[train]'"
    unknown = ModuleNotFoundError("No module named 'nowhere'", name="nowhere")
    assert explain(unknown) == "cannot be imported: No module named 'nowhere'"
    broken = ImportError("libsndfile.so.1 is missing", name="fairseq2")
    assert explain(broken) == "cannot be imported: libsndfile.so.1 is missing"
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(aista.AistaError, match=r"^--this needs av, .*; pip install 'aista\[media\]'$"):
        require("av", "--this")
    assert require("json", "--this") is sys.modules["json"]


def owners(module):
    return set(map(normal, distributions().get(module, ())))


distributions = functools.cache(importlib.metadata.packages_distributions)  # it reads all that is installed


def test_each_extra_brings_what_is_said_of_it():
    plain = closure(PROJECT["dependencies"])
    for extra, modules in EXTRAS.items():
        brought = closure(EXTRA_LINES[extra])
        for module in modules:
            if not owners(module):  # an extra of its own that is not installed here
                assert extra != "train", module
                continue
            assert owners(module) & brought, module
            assert not owners(module) & plain, module


def test_all_that_the_package_imports_is_declared():
    imported = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                imported.add((node.module or "").partition(".")[0])
    beyond = {module for module in imported if module in hidden()}
    assert beyond - {"triton"} <= set(MODULES)  # triton comes with torch for CUDA; nothing asks for it elsewhere
    assert {"fairseq2", "transformers", "pyarrow"} <= beyond


def test_the_whole_toolkit_has_the_engines_torch():
    assert [line for line in EXTRA_LINES["train"] if line.startswith(("torch==", "fairseq2=="))] == [
        "torch==2.9.1",
        "fairseq2==0.8.1",
    ]
    assert "torch>=2.6" in PROJECT["dependencies"]
