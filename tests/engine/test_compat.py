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
from pathlib import Path
from fairseq2.file_system import LocalFileSystem
from fairseq2.recipe.config import CommonSection
from fairseq2.recipe.internal.logging import _DistributedLogConfigurer
from fairseq2.utils.env import StandardEnvironment
from fairseq2.world_info import WorldInfo
import logging
patched()
files = _DistributedLogConfigurer(
    Path(sys.argv[1]), CommonSection(), StandardEnvironment(), WorldInfo(0, 1, 0, 1), LocalFileSystem()
)
files._configure_logger()
logging.getLogger("aista").warning("row \x1b[31m")
logging.getLogger("fairseq2").warning("file \x1b[31m")
"""


def test_an_import_patches_nothing_and_what_is_patched_stays(tmp_path):
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "row \\x1b[31m" in result.stderr
    assert "file \\x1b[31m" in result.stderr
    assert "file \\x1b[31m" in (tmp_path / "logs" / "rank_0.log").read_text()
