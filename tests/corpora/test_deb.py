from pathlib import Path

import pytest

from aista.corpora.deb import opened
from aista.errors import DataError
from tests.corpora.debian import write_deb

WANTED = ["usr/share/doc", "usr/share/sounds"]


@pytest.fixture
def package(tmp_path: Path) -> Path:
    root = tmp_path / "package"
    for name in ("usr/share/doc/a/text", "usr/share/sounds/b/c.wav", "usr/bin/tool", "usr/share/document"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"this is {name}")
    (root / "usr/share/doc/link").symlink_to("/etc/passwd")
    return root


def files(root: Path) -> dict[str, str]:
    return {path.relative_to(root).as_posix(): path.read_text() for path in root.rglob("*") if path.is_file()}


def test_what_is_wanted_is_unpacked_and_removed_again(package: Path, tmp_path: Path) -> None:
    with opened(write_deb(package, tmp_path / "a_1_all.deb"), "a", WANTED) as root:
        names = ("usr/share/doc/a/text", "usr/share/sounds/b/c.wav")
        assert files(root) == {name: f"this is {name}" for name in names}
    assert not root.exists()


def test_packages_of_a_folder_are_unpacked_together(package: Path, tmp_path: Path) -> None:
    (tmp_path / "debs").mkdir()
    write_deb(package, tmp_path / "debs/corpus-a_1_all.deb")
    (package / "usr/share/doc/a/text").rename(package / "usr/share/doc/a/more")
    write_deb(package, tmp_path / "debs/corpus-b_1_all.deb")
    (tmp_path / "debs/other_1_all.deb").write_bytes(b"not asked for")
    with opened(tmp_path / "debs", "corpus-*", WANTED) as root:
        assert set(files(root)) == {"usr/share/doc/a/text", "usr/share/doc/a/more", "usr/share/sounds/b/c.wav"}


def test_other_folders_are_read_where_they_are(package: Path) -> None:
    with opened(package, "a", WANTED) as root:
        assert root == package
    assert package.exists()


@pytest.mark.parametrize("folder", ["usr/share/doc/../../../../usr", "../usr"])
def test_nothing_is_written_outside(package: Path, tmp_path: Path, folder: str) -> None:
    with opened(write_deb(package, tmp_path / "evil.deb", folder=folder), "a", WANTED) as root:
        assert files(root) == {}
        assert not list(root.parent.glob("usr/share/doc/a/text"))


def test_unreadable_packages_are_reported(package: Path, tmp_path: Path) -> None:
    whole = write_deb(package, tmp_path / "whole.deb").read_bytes()
    dataless = write_deb(package, tmp_path / "x", data="nothing").read_bytes()
    start = whole.index(b"\xfd7zXZ") + 100
    faults = {
        "text": (b"<html>404</html>", "it does not begin as an ar archive"),
        "header": (b"!<arch>\n" + b"x" * 60, ""),
        "cut": (whole[:-10], "it is cut short"),
        "dataless": (dataless, "it holds no data.tar"),
        "damaged": (whole[:start] + bytes(50) + whole[start + 50 :], ""),
    }
    for name, (content, message) in faults.items():
        (tmp_path / f"{name}.deb").write_bytes(content)
        match = rf"--from .*{name}.deb: not a readable Debian package \(.*{message}.*\); .* dpkg-deb -x"
        with pytest.raises(DataError, match=match), opened(tmp_path / f"{name}.deb", "a", WANTED):
            pytest.fail("it was opened")


def test_a_missing_source_is_reported(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file or folder"), opened(tmp_path / "nothing", "a", WANTED):
        pytest.fail("it was opened")
