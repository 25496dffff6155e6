"""fairseq2 is patched when a training starts, not when a module is imported."""

import logging
import os
import sys

from aista.engine.compat import patch_fairseq2
from tests.processes import CONTEXT


def patch(folder):
    """In a process that has imported what trains, and no more."""
    from fairseq2.file_system import LocalFileSystem
    from fairseq2.recipe.config import CommonSection
    from fairseq2.recipe.internal.logging import _DistributedLogConfigurer
    from fairseq2.utils.env import StandardEnvironment
    from fairseq2.world_info import WorldInfo

    os.dup2(os.open(folder / "errors", os.O_CREAT | os.O_WRONLY), 2)
    assert "aista.engine.training.train" in sys.modules
    run = sys.modules["fairseq2.recipe.run"]
    assert run.configure_logging.__module__.startswith("fairseq2"), "patched by an import"
    patch_fairseq2()
    patched = run.configure_logging
    assert patched.__module__ == "aista.engine.compat"
    patch_fairseq2()
    assert run.configure_logging is patched
    patched()
    files = _DistributedLogConfigurer(
        folder, CommonSection(), StandardEnvironment(), WorldInfo(0, 1, 0, 1), LocalFileSystem()
    )
    files._configure_logger()
    logging.getLogger("aista").warning("row \x1b[31m")
    logging.getLogger("fairseq2").warning("file \x1b[31m")


def test_an_import_patches_nothing_and_what_is_patched_stays(tmp_path):
    process = CONTEXT.Process(target=patch, args=(tmp_path,))
    process.start()
    process.join()
    printed = (tmp_path / "errors").read_text()
    assert process.exitcode == 0, printed
    assert "row \\x1b[31m" in printed
    assert "file \\x1b[31m" in printed
    assert "file \\x1b[31m" in (tmp_path / "logs" / "rank_0.log").read_text()
