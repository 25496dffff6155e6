"""fairseq2 is patched when a training starts, not when a module is imported."""

import subprocess
import sys

PROGRAM = """
import sys
import aista.engine.training.train
from aista.engine.compat import patch_fairseq2
run = sys.modules["fairseq2.recipe.run"]
assert run.configure_logging.__module__.startswith("fairseq2"), "patched by an import"
patch_fairseq2()
patched = run.configure_logging
assert patched.__module__ == "aista.engine.compat"
patch_fairseq2()
assert run.configure_logging is patched
"""


def test_an_import_patches_nothing_and_a_second_call_changes_nothing():
    result = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
