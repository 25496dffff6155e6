"""Plug-in files of an exported model: copied as data, and run only if the user names them."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from aista import registry
from aista.errors import RunError
from aista.files import hash_file
from aista.plugin_faults import FILE_MODULE, shown_file
from aista.plugins import is_loaded
from aista.tasks.components import used_components
from aista.tasks.experiment import Experiment

__all__ = ["PLUGINS", "copy_plugins", "require_plugins"]

PLUGINS = "plugins"
"""The key of config.json, and the folder."""


def copy_plugins(experiment: Experiment, folder: Path) -> dict[str, str]:
    """Copy the plug-in files that components of an experiment come from; relative path -> SHA-256."""
    copied: dict[str, str] = {}
    done: set[str] = set()
    for kind, spec in used_components(experiment):
        module = registry.get(kind, spec.name).factory.__module__
        if module.startswith(FILE_MODULE) and module not in done:
            done.add(module)
            source = Path(str(sys.modules[module].__file__))
            file = folder / PLUGINS / source.name
            if file.exists():
                file = file.with_name(f"{source.stem}_{len(done)}.py")
            file.parent.mkdir(exist_ok=True)
            shutil.copyfile(source, file)
            copied[file.relative_to(folder).as_posix()] = hash_file(file)
    return copied


def require_plugins(folder: Path, recorded: object) -> None:
    """Raise RunError unless the user has loaded each plug-in file that an exported model needs, unchanged."""
    if not isinstance(recorded, Mapping):
        raise RunError(f"{folder}: its config.json does not say which plug-ins it needs; export the run again")
    missing = [str(name) for name, sha256 in recorded.items() if not is_loaded(str(sha256))]
    if missing:
        flags = " ".join(f"--plugin {shown_file(folder / name)}" for name in missing)
        raise RunError(
            f"{folder}: its model needs {', '.join(missing)}, which is code and never runs unasked; read it, then add "
            f"{flags} (in Python: plugins=[...] of aista.load)"
        )
