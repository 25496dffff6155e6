"""Atomic writes: their modes, links and temporary names; what the system refuses is one line with place and remedy."""

import errno
import os
import stat
from pathlib import Path

import pytest

from aista.errors import RunError
from aista.files import explain, leftover_pattern, refusals, replacing, replacing_folder, require_writable, write_text


@pytest.fixture(params=[0o077, 0o002, 0o022])
def umask(request):
    old = os.umask(request.param)
    yield request.param
    os.umask(old)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def write_folder(path):
    with replacing_folder(path) as folder:
        (folder / "file").write_text("new")


def test_new_files_and_folders_have_the_modes_that_the_umask_leaves(tmp_path, umask):
    write_text(tmp_path / "sub" / "file", "new")
    write_folder(tmp_path / "folder")
    assert mode(tmp_path / "sub" / "file") == mode(tmp_path / "folder" / "file") == 0o666 & ~umask
    assert mode(tmp_path / "folder") == mode(tmp_path / "sub") == 0o777 & ~umask


def test_what_is_replaced_keeps_its_mode(tmp_path, umask):
    file, folder = tmp_path / "file", tmp_path / "folder"
    file.write_text("old")
    file.chmod(0o640)
    folder.mkdir(mode=0o700)
    write_text(file, "new")
    write_folder(folder)
    assert (file.read_text(), mode(file), mode(folder)) == ("new", 0o640, 0o700)


def test_a_library_that_makes_its_file_anew_does_not_choose_the_mode(tmp_path, umask):
    with replacing(tmp_path / "file") as temporary:
        temporary.unlink()
        os.close(os.open(temporary, os.O_CREAT | os.O_WRONLY, 0o600))
    assert mode(tmp_path / "file") == 0o666 & ~umask


@pytest.mark.parametrize("is_there", [True, False])
def test_symbolic_links_are_written_through(tmp_path, is_there):
    disk = tmp_path / "disk"
    disk.mkdir()
    for name in ("file", "folder"):
        (tmp_path / name).symlink_to(Path("disk") / name)
    if is_there:
        (disk / "file").write_text("old")
        (disk / "folder").mkdir()
    write_text(tmp_path / "file", "new")
    write_folder(tmp_path / "folder")
    assert (tmp_path / "file").is_symlink()
    assert (tmp_path / "folder").is_symlink()
    assert {path.name for path in tmp_path.iterdir()} == {"disk", "file", "folder"}
    assert ((disk / "file").read_text(), (disk / "folder" / "file").read_text()) == ("new", "new")


def test_a_device_is_written_to_and_stays_one(tmp_path):
    write_text(Path("/dev/null"), "gone")
    assert Path("/dev/null").is_char_device()
    with pytest.raises(OSError, match="No space left"):
        write_text(Path("/dev/full"), "anything")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    write_text(tmp_path / "file", "old")
    temporary = []

    def fail():
        with replacing(tmp_path / "file") as path:
            temporary.append(path)
            assert temporary == list(tmp_path.glob(leftover_pattern("file")))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert temporary
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_a_refused_write_names_what_was_asked_for(tmp_path):
    with pytest.raises(OSError, match="No space") as caught, replacing(tmp_path / "file"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.filename == str(tmp_path / "file")
    with pytest.raises(OSError, match="No such") as caught, replacing_folder(tmp_path / "folder") as folder:
        (folder / "missing" / "file").write_text("")
    assert caught.value.filename == str(tmp_path / "folder" / "missing" / "file")
    assert not list(tmp_path.iterdir())


def test_a_copy_that_is_refused_is_named_by_where_it_goes(tmp_path):
    (tmp_path / "source").write_text("text")
    with pytest.raises(OSError, match="No space") as caught, replacing_folder(tmp_path / "folder") as folder:
        raise OSError(errno.ENOSPC, "No space left", str(tmp_path / "source"), None, str(folder / "copy"))
    assert explain(caught.value).startswith(f"{tmp_path}/folder/copy: cannot be used: No space left; make room")


def test_a_refusal_is_one_line_with_place_reason_and_remedy(tmp_path):
    with pytest.raises(RunError) as caught, refusals("written", tmp_path / "page"):
        raise OSError(errno.EDQUOT, "Disk quota exceeded")
    assert str(caught.value) == (
        f"{tmp_path}/page: cannot be written: Disk quota exceeded; make room there, or choose another disk"
    )
    assert explain(OSError(errno.ENOSPC, "full", "from", None, "to")).startswith("to: cannot be used: full; make room")
    assert explain(OSError("two\nlines")) == "two lines; check the path and its disk, then repeat the command"
    with pytest.raises(ValueError, match="a bug"), refusals("read", tmp_path):
        raise ValueError("a bug")


def refused(path, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(RunError) as caught:
        require_writable(path)
    assert sorted(tmp_path.rglob("*")) == before
    return str(caught.value)


def test_what_cannot_be_written_is_refused_before_the_work(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to("loop")
    assert "Not a directory" in refused(tmp_path / "file" / "a" / "b", tmp_path)
    assert "symbolic links lead in a circle" in refused(tmp_path / "loop", tmp_path)
    assert "File name too long; choose a shorter name" in refused(tmp_path / "new" / ("x" * 256), tmp_path)
    assert "File name too long" in refused(tmp_path / ("x" * 256) / "new", tmp_path)
    assert "embedded null byte; choose another name" in refused(tmp_path / "a\0b", tmp_path)
    for path in (tmp_path, tmp_path / "file", tmp_path / "new", tmp_path / "a" / "b" / "c", Path("/dev/null")):
        require_writable(path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "loop"]


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC, errno.EDQUOT])
def test_the_system_is_asked_before_the_work(tmp_path, monkeypatch, number):
    def refuse(path, *args, **kwargs):
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(os, "open", refuse)
    for path in (tmp_path, tmp_path / "run", tmp_path / "new" / "run"):
        assert refused(path, tmp_path).startswith(f"{path}: cannot be written: {os.strerror(number)}; ")
