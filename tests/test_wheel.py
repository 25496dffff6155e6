"""The wheel: what it holds, and that it works where there is nothing else."""

import importlib.metadata
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.version import Version

from aista.shipped import find_config, shipped_configs

ROOT = Path(__file__).parents[1]
VERSION = importlib.metadata.version("setuptools")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(Version(VERSION) < Version("77"), reason=f"needs setuptools 77, has {VERSION}"),
]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from a copy: setuptools leaves folders in what it builds, and takes what lies in them the next time."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT / "aista", source / "aista", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "benchmarks", "tools"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-index", "--no-build-isolation", "--quiet"]
    result = subprocess.run([*command, "--wheel-dir", out, source], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    (file,) = out.iterdir()
    return file


@pytest.fixture(scope="module")
def aista(wheel, tmp_path_factory):
    """Run a command with the unpacked wheel in an empty folder; returns what it printed."""
    site, folder = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("empty")
    zipfile.ZipFile(wheel).extractall(site)
    environment = os.environ | {"PYTHONPATH": str(site)}

    def aista(*arguments):
        command = [sys.executable, "-m", "aista", *arguments]
        result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        assert (result.returncode, result.stderr) == (0, "")
        assert not any(folder.iterdir())
        return result.stdout

    where = [sys.executable, "-c", "import aista; print(aista.__file__)"]
    found = subprocess.run(where, cwd=folder, env=environment, capture_output=True, text=True, check=True).stdout
    assert Path(found.strip()).is_relative_to(site)
    return aista


def test_it_holds_the_package_and_nothing_else(wheel):
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    files = {path for path in (ROOT / "aista").rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert names == {path.relative_to(ROOT).as_posix() for path in files if path.suffix != ".md"}
    assert {"aista/py.typed", "aista/configs/experiments/quickstart.yaml"} <= names


def test_its_command_is_aista(wheel):
    archive = zipfile.ZipFile(wheel)
    (entry_points,) = [name for name in archive.namelist() if name.endswith("entry_points.txt")]
    assert archive.read(entry_points).decode() == "[console_scripts]\naista = aista.cli.main:main\n"


def test_it_lists_components_and_configs(aista):
    assert "sinkhorn" in aista("list")
    printed = aista("configs")
    assert all(f"  {name}: " in printed for name in shipped_configs())
    assert aista("configs", "quick") == find_config("quick").read_text()


def test_it_resolves_a_shipped_config(aista):
    assert "max_steps: 250" in aista("train", "run", "--config", "quickstart", "--dump-config")
