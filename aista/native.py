"""Native libraries that must be in the process before fairseq2's C++ part is imported."""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import os
from pathlib import Path

__all__ = ["preload_libsndfile"]

_loaded: list[ctypes.CDLL] = []


def preload_libsndfile() -> Path | None:
    """Load the libsndfile that the soundfile wheel carries, so that ``import fairseq2n`` finds it.

    fairseq2n links against ``libsndfile.so.1`` and asks for a system package where the dynamic
    linker knows none. The wheel's copy has the same soname, so the linker uses it once it is loaded with global
    visibility. Call it before anything imports fairseq2; calling it again costs nothing.

    Returns:
        The library's path, or None where the installed soundfile carries none (a source or conda
        build: fairseq2n then finds the system's library or says itself what to install).
    """
    spec = importlib.util.find_spec("_soundfile_data")
    folders = spec.submodule_search_locations if spec is not None else None
    libraries = [
        path for folder in folders or () for path in sorted(Path(folder).glob("libsndfile*")) if path.is_file()
    ]
    if not libraries:
        return None
    if not _loaded:
        _loaded.append(ctypes.CDLL(str(libraries[0]), mode=ctypes.RTLD_GLOBAL))
        _import_fairseq2n_outside_conda()
    return libraries[0]


def _import_fairseq2n_outside_conda() -> None:
    """Where CONDA_PREFIX is set, fairseq2n never asks the dynamic linker; import it with the variable hidden.

    That also happens in a virtual environment made while a conda base environment was active.
    """
    if "CONDA_PREFIX" not in os.environ or importlib.util.find_spec("fairseq2n") is None:
        return
    prefix = os.environ.pop("CONDA_PREFIX")
    try:
        importlib.import_module("fairseq2n")
    finally:
        os.environ["CONDA_PREFIX"] = prefix
