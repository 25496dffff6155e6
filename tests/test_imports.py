"""What may be imported where, beside the floors that import-linter holds."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import aista

PACKAGE = Path(aista.__file__).parent

REPORT = """
import json, sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"blocked: {{name}}")
sys.meta_path.insert(0, Blocker())
before = set(sys.modules)
{program}
print(json.dumps(sorted({{name.partition(".")[0] for name in set(sys.modules) - before}})))
"""


def imported_by(program, blocked=()):
    """Root packages that a fresh interpreter imports while it runs ``program``."""
    source = REPORT.format(program=program, blocked=set(blocked) or {"-"})
    result = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return set(json.loads(result.stdout.splitlines()[-1]))


def test_the_blocker_blocks():
    with pytest.raises(AssertionError, match="blocked: transformers"):
        imported_by("import transformers", ["transformers"])


def test_the_registry_and_schema_need_the_standard_library_only():
    found = imported_by("import aista.errors, aista.registry, aista.kinds, aista.schema")
    assert found - {"aista"} <= set(sys.stdlib_module_names)


def test_the_registry_stays_short():
    assert len((PACKAGE / "registry.py").read_text().splitlines()) < 200


ANSWERS = """
import tempfile
import aista.cli.main
for arguments in (["--help"], ["--version"], ["lst"], ["train", "--help"], ["configs"]):
    try:
        aista.cli.main.main(arguments)
    except SystemExit:
        pass
with tempfile.TemporaryDirectory() as project:
    assert aista.cli.main.main(["init", project]) == 0
"""


def test_the_command_line_answers_without_torch():
    heavy = {"torch", "numpy", "fairseq2", "transformers", "matplotlib", "rich"}
    assert not imported_by(ANSWERS) & heavy


HELP = """
import aista.cli.main
try:
    aista.cli.main.main(["--help"])
except SystemExit:
    pass
slow = {slow!r} & (set(sys.modules) - before)
assert not slow, slow
"""


def test_help_imports_nothing_that_takes_time():
    slow = {"importlib.metadata", "inspect", "dataclasses", "logging", "hashlib", "difflib", "aista.registry"}
    imported_by(HELP.format(slow=slow))


ROOMS = """
import importlib, pkgutil
from aista import registry
from aista.kinds import KINDS
for kind in KINDS:
    assert registry.names(kind), kind
import aista.modules.ctc_model, aista.modules.freezing
for room in ("registry", "config", "schema", "types", "losses", "selection", "scoring", "data"):
    module = importlib.import_module(f"aista.{room}")
    for found in pkgutil.walk_packages(getattr(module, "__path__", ()), f"aista.{room}."):
        if not found.name.rpartition(".")[2].startswith("_"):
            try:
                importlib.import_module(found.name)
            except ModuleNotFoundError as error:  # GPU kernels, where torch came without triton
                if error.name != "triton":
                    raise
"""


def test_components_are_found_without_fairseq2_and_transformers():
    found = imported_by(ROOMS, ["fairseq2", "fairseq2n", "transformers"])
    assert {"aista", "torch"} <= found


def test_the_example_of_the_losses_page_and_the_loss_of_a_training_need_torch_alone():
    page = (PACKAGE.parent / "docs" / "losses.md").read_text(encoding="utf-8")
    example = page.split("```python\n")[1].split("```")[0]
    hidden = ["fairseq2", "fairseq2n", "transformers", "torchaudio", "sentencepiece", "sacrebleu", "ot", "triton"]
    assert "torch" in imported_by(f"{example}\nimport aista.losses.ot", hidden)


def imports(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module or ""


def importers(*names):
    """Files of the package that import one of the modules or something inside it, lazily or not."""

    def matches(name):
        return any(name == wanted or name.startswith(f"{wanted}.") for wanted in names)

    return {str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py") if any(map(matches, imports(path)))}


def test_only_the_engine_knows_fairseq2s_recipe_and_trainer():
    machinery = ("recipe", "trainer", "evaluator", "validator", "checkpoint", "task", "cli")
    found = importers(*(f"fairseq2.{name}" for name in machinery))
    assert found, "the engine no longer imports fairseq2's machinery; this test has lost its object"
    assert all(path.startswith("engine/") for path in found)


def test_only_modules_and_engine_know_fairseq2():
    found = importers("fairseq2", "fairseq2n")
    assert found
    assert all(path.startswith(("engine/", "modules/")) for path in found)
