"""Packages that only some layouts need: imported when they are, or named with the way to install them."""

from __future__ import annotations

import importlib
from typing import Any

from aista.errors import DataError

__all__ = ["require"]


def require(package: str, layout: str, extra: str = "import") -> Any:
    """The package, for reading a layout. Raises DataError saying how to install it where it is missing."""
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise DataError(
            f"--format {layout}: needs the package {package}, which cannot be imported ({error}); install it by pip "
            f"install 'aista[{extra}]'"
        ) from None
