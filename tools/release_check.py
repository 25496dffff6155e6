"""``make release-check``: builds wheel and sdist from the commit, and checks whether they can be released."""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import zipfile
from pathlib import Path

import yaml

import aista

__all__ = ["changelog_versions", "faults", "main"]

ROOT = Path(__file__).parents[1]
_HEADING = re.compile(r"^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d{2}-\d{2}$", re.MULTILINE)


def changelog_versions(text: str) -> list[str]:
    """Versions that a changelog has a dated section for, newest first."""
    return _HEADING.findall(text)


def faults(version: str, changelog: str, citation: str) -> list[str]:
    """Inconsistencies about a version between files."""
    found = []
    if version not in changelog_versions(changelog)[:1]:
        found.append(f"CHANGELOG.md: its first dated section must be '## [{version}] - YYYY-MM-DD', aista.__version__")
    cited = yaml.safe_load(citation)["version"]
    if str(cited) != version:
        found.append(f"CITATION.cff: version must be {version}, aista.__version__, got {cited}")
    return found


def main() -> int:
    """Build, check and try both archives; 0 if they can be released."""
    texts = [(ROOT / name).read_text(encoding="utf-8") for name in ("CHANGELOG.md", "CITATION.cff")]
    found = faults(aista.__version__, *texts)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _clone(folder / "source")
        _run("-m", "build", "--outdir", folder / "dist", folder / "source")  # the wheel from the sdist
        (wheel,), (sdist,) = (sorted((folder / "dist").glob(pattern)) for pattern in ("*.whl", "*.tar.gz"))
        _run("-m", "twine", "check", "--strict", wheel, sdist)
        found += _lacking(wheel, sdist, folder / "source")
        _try(wheel, folder / "environment")
        for archive in (wheel, sdist):
            print(f"{archive.name}: {archive.stat().st_size / 2**20:.1f} MiB")
    for fault in found:
        print(fault, file=sys.stderr)
    print("not ready" if found else "ready: twine upload is what is left", flush=True)
    return int(bool(found))


def _run(*command: object) -> None:
    subprocess.run([sys.executable, *map(str, command)], check=True)


def _clone(target: Path) -> None:
    """Export the commit, so that uncommitted files cannot get into an archive."""
    subprocess.run(["git", "clone", "--quiet", "--depth", "1", ROOT.as_uri(), str(target)], check=True)


def _lacking(wheel: Path, sdist: Path, source: Path) -> list[str]:
    """Files of the package that are missing in an archive."""
    package = {path.relative_to(source).as_posix() for path in (source / "aista").rglob("*") if path.is_file()}
    package = {name for name in package if not name.endswith(".md")}
    with tarfile.open(sdist) as archive:
        names = {"/".join(name.split("/")[1:]) for name in archive.getnames()}
    held = {wheel: set(zipfile.ZipFile(wheel).namelist()), sdist: names}
    return [f"{archive.name} lacks {name}" for archive, files in held.items() for name in sorted(package - files)]


def _try(wheel: Path, environment: Path) -> None:
    """Install the wheel into an environment of its own, beside this one's dependencies, and start it."""
    _run("-m", "venv", environment)
    python = environment / "bin" / "python"
    (site,) = environment.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", wheel], check=True)
    for command in (["--version"], ["list", "ot_solver"], ["configs"]):
        subprocess.run(
            [environment / "bin" / "aista", *command], check=True, cwd=environment, stdout=subprocess.DEVNULL
        )


if __name__ == "__main__":
    sys.exit(main())
