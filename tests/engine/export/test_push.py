"""Exports sent to a hub: what goes there and what does not, to whom it is open, and what is refused."""

import shutil
from pathlib import Path

import pytest

import aista
from aista.cli.main import main
from aista.engine.export.push import find_target, plan_push
from aista.engine.export.record import RECORD, Record
from aista.engine.export.write import export
from aista.errors import AistaError, RunError
from aista.hub_errors import HubError
from tests.hub import connect


@pytest.fixture(scope="module")
def exported(native, tmp_path_factory):
    out = tmp_path_factory.mktemp("exported") / "out"
    export(native, out)
    return out


@pytest.fixture
def account(hub, tmp_path, monkeypatch):
    """A hub with the users me and you; this machine is logged in as me."""
    hub.users |= {"me", "you"}
    connect(hub.url, tmp_path / "home", monkeypatch, token="me")
    return hub


@pytest.fixture
def copy(exported, tmp_path):
    return Path(shutil.copytree(exported, tmp_path / "copy"))


def test_an_export_is_sent_as_one_private_commit_and_loads_again(account, native, wavs, tmp_path, capsys, caplog):
    out, expected = tmp_path / "out", [*aista.load(native, device="cpu").stream(wavs)]
    assert main(["export", str(native), str(out), "--push", "me/tones"]) == 0
    repository = account.repositories["me/tones"]
    assert repository.private
    assert len(repository.commits) == 2
    written, said = Record.read(out), capsys.readouterr().out
    assert f"sending {len(written.files) + 1} files, " in said
    assert f"from {out} to {account.url}/me/tones (private, new):" in said
    assert all(f"  {name}\n" in said for name in [*written.files, RECORD])
    assert f"sent: {account.url}/me/tones/commit/" in said
    assert "Bearer" not in said + caplog.text
    assert repository.files.keys() == {".gitattributes", RECORD, *written.files}
    assert len(account.asked("PUT /lfs/")) == 1
    for name, data in repository.files.items():
        (tmp_path / "fetched" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "fetched" / name).write_bytes(data)
    assert [*aista.load(tmp_path / "fetched", device="cpu").stream(wavs)] == expected


def test_an_exported_folder_is_sent_with_an_edited_card_and_nothing_else(account, copy, capsys):
    card = (copy / "README.md").read_text().replace("# license: to be filled in;", "license: mit  #")
    (copy / "README.md").write_text(card)
    (copy / "notes.txt").write_text("mine")
    (copy / ".env").write_text("HF_TOKEN=secret")
    assert main(["export", str(copy), "--push", "me/tones", "--public"]) == 0
    repository = account.repositories["me/tones"]
    assert not repository.private
    assert repository.files["README.md"].decode() == card
    assert {"notes.txt", ".env"}.isdisjoint(repository.files)
    assert "(public, new)" in capsys.readouterr().out


def test_the_next_export_takes_the_place_of_the_last(account, native, copy, tmp_path, capsys):
    assert main(["export", str(copy), "--push", "me/tones"]) == 0
    export(native, tmp_path / "shards", shard_bytes=20_000)
    capsys.readouterr()
    assert main(["export", str(tmp_path / "shards"), "--push", "me/tones"]) == 0
    assert "(private, in place of the last export)" in (said := capsys.readouterr().out)
    assert "delete  model.safetensors\n" in said
    files = account.repositories["me/tones"].files
    assert "model.safetensors" not in files
    assert "model.safetensors.index.json" in files
    assert len(account.repositories["me/tones"].commits) == 3


def test_a_card_that_the_hub_refuses(account, copy, capsys):
    (copy / "README.md").write_text("---\nlicense:\n---\n")
    assert main(["export", str(copy), "--push", "me/tones"]) == 1
    message = capsys.readouterr().err
    assert f'{copy / "README.md"}: Invalid metadata in README.md. - "license" must be a str; correct it and' in message
    assert account.repositories["me/tones"].files.keys() == {".gitattributes"}
    (copy / "README.md").write_text("---\nlicense: mit\n---\n")
    assert main(["export", str(copy), "--push", "me/tones"]) == 0


def test_an_upload_that_breaks_off_changes_nothing(account, copy, monkeypatch, capsys):
    monkeypatch.setattr("tests.hub._sha256", lambda data: "other")
    assert main(["export", str(copy), "--push", "me/tones"]) == 1
    message = capsys.readouterr().err
    assert "Error while uploading 'model.safetensors'" in message
    assert "nothing was changed there, repeat it with `aista export" in message
    assert account.repositories["me/tones"].files.keys() == {".gitattributes"}


def test_nothing_is_written_before_the_target_is_known_to_take_it(account, native, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"

    def fails(*arguments):
        code = main(["export", str(native), str(out), "--push", *arguments])
        assert not out.exists()
        return code, capsys.readouterr().err

    assert fails("tones") == (2, "aista: --push: expects ORG/NAME, got 'tones'\n")
    assert fails("me/tones@main")[0] == 2
    account.add("me/open", tmp_path / "home")
    assert (
        fails("me/open")[1]
        == f"aista: --push: {account.url}/me/open is public; add --public, or change it on its page first\n"
    )
    account.add("me/closed", tmp_path / "home", private=True)
    assert "is private; leave out --public" in fails("me/closed", "--public")[1]
    monkeypatch.delenv("HF_TOKEN")
    assert fails("me/tones")[0] == 2
    assert "requires a login; log in" in fails("me/tones")[1]
    connect("http://127.0.0.1:1", tmp_path / "home", monkeypatch, token="me")
    assert "http://127.0.0.1:1/me/tones cannot be reached" in fails("me/tones")[1]


def test_repositories_of_others_are_left_alone(account, exported, copy, native, tmp_path):
    with pytest.raises(HubError, match=r"answered 403 .*You don't have the rights.*the token of this machine may"):
        plan_push(exported, find_target("you/tones", public=False)).send()
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "model.safetensors").write_text("w")
    account.add("me/other", tmp_path / "theirs", private=True)
    with pytest.raises(RunError, match=r"me/other holds model\.safetensors and is not this export of that run; choose"):
        plan_push(exported, find_target("me/other", public=False))
    (copy / "config.json").write_text("{}")
    with pytest.raises(RunError, match=r"config\.json: damaged"):
        plan_push(copy, find_target("me/new", public=False))


def test_options_that_need_one_another(native, capsys):
    assert main(["export", str(native), "out", "--public"]) == 2
    assert main(["export", str(native)]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "aista: --public is for --push; add --push, or leave out --public",
        "aista: OUT is missing: name the folder to make",
    ]


def test_a_name_must_be_one():
    with pytest.raises(AistaError, match="expects ORG/NAME"):
        find_target("../up", public=False)
