"""Names on the hub: which paths are names, what is fetched for them, and what is said where that fails."""

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from aista.hub import (
    HubName,
    cached_folder,
    commit_of,
    has_weights,
    hub_name,
    local_folder,
    settings_files,
)
from aista.hub_errors import HubError

from .hub import connect, disconnect

NAME = Path("org/tiny")


@pytest.fixture
def folder(tmp_path):
    """A model's folder with what aista reads and what it must leave."""
    path = tmp_path / "published"
    (path / "onnx").mkdir(parents=True)
    (path / "additional_chat_templates").mkdir()
    files = {
        "config.json": "{}",
        "preprocessor_config.json": "{}",
        "generation_config.json": "{}",
        "tokenizer.json": "{}",
        "additional_chat_templates/rag.jinja": "x",
        "model.safetensors": "weights",
        "pytorch_model.bin": "pickle",
        "modeling_tiny.py": "raise SystemExit",
        "onnx/model.onnx": "graph",
        "onnx/config.json": "{}",
    }
    for name, text in files.items():
        (path / name).write_text(text)
    return path


def names_in(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


@pytest.mark.parametrize(
    ("path", "repo", "revision"),
    [
        ("openai/whisper-tiny", "openai/whisper-tiny", "main"),
        ("openai/whisper-tiny.en@v1.0", "openai/whisper-tiny.en", "v1.0"),
        ("Qwen/Qwen2.5-0.5B@refs/pr/3", "Qwen/Qwen2.5-0.5B", "refs/pr/3"),
    ],
)
def test_paths_that_are_names(path, repo, revision):
    assert HubName.parse(Path(path)) == hub_name(Path(path)) == HubName(repo, revision)


@pytest.mark.parametrize(
    "path",
    ["gpt2", "/org/name", "../org/name", "a/b/c", "org/na me", "org/..", "org/.x", "org/a--b", "org/name@", "ö/n", "."],
)
def test_paths_that_are_no_names(path):
    assert HubName.parse(Path(path)) is None


def test_what_lies_here_wins(hub, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / NAME).mkdir(parents=True)
    assert hub_name(NAME) is None
    assert local_folder(NAME, "weights") == NAME
    assert hub.log == []


def test_only_what_is_needed_is_fetched_and_once(hub, folder, caplog):
    commit = hub.add("org/tiny", folder)
    assert commit_of(HubName("org/tiny")) == commit
    found = local_folder(NAME, "config")
    assert names_in(found) == ["config.json", "preprocessor_config.json"]
    assert [file.name for file in settings_files(NAME)] == names_in(found)
    assert cached_folder(NAME) is None
    assert local_folder(NAME, "tokenizer") == found
    assert names_in(found)[:2] == ["additional_chat_templates/rag.jinja", "config.json"]
    assert "model.safetensors" not in names_in(found)
    with caplog.at_level(logging.INFO, "aista.hub"):
        assert local_folder(NAME, "weights") == found
    assert f"fetching 1 files, 0.0 MB (commit {commit})" in caplog.text
    assert (found / "model.safetensors").read_text() == "weights"
    assert {"pytorch_model.bin", "modeling_tiny.py", "generation_config.json"}.isdisjoint(names_in(found))
    assert not (found / "onnx").exists()
    assert len(hub.asked("/api/models/")) == 1
    asked = len(hub.log)
    assert local_folder(Path(f"org/tiny@{commit}"), "weights") == found
    assert local_folder(NAME, "weights", "tokenizer") == cached_folder(NAME) == found
    assert len(hub.log) == asked


def test_shards_are_those_of_the_index(hub, folder):
    (folder / "model.safetensors").unlink()
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    for shard in (*shards.values(), "consolidated.safetensors"):
        (folder / shard).write_text("w")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    hub.add("org/tiny", folder)
    local_folder(NAME, "config")
    assert has_weights(NAME)
    assert cached_folder(NAME) is None
    found = local_folder(NAME, "weights")
    assert set(shards.values()) < set(names_in(found))
    assert "consolidated.safetensors" not in names_in(found)
    assert cached_folder(NAME) == found


@pytest.mark.parametrize(
    "weight_map", [{"a": "../../secret"}, {"a": "other.safetensors"}, {}, [], {"a": "pytorch_model.bin"}]
)
def test_an_index_that_names_other_files_is_refused(hub, folder, weight_map):
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    hub.add("org/tiny", folder)
    with pytest.raises(HubError, match=r"org/tiny: its model\.safetensors\.index\.json names .*; choose another"):
        local_folder(NAME, "weights")


def test_pickles_are_refused(hub, folder):
    (folder / "model.safetensors").unlink()
    hub.add("org/tiny", folder)
    assert not has_weights(NAME)
    with pytest.raises(
        HubError, match=r"/org/tiny holds only pytorch_model\.bin, which can run code when loaded; choose"
    ):
        local_folder(NAME, "weights")
    assert hub.asked("pytorch_model.bin") == []


def test_a_revision_is_a_branch_a_tag_or_a_commit(hub, folder):
    first = hub.add("org/tiny", folder)
    (folder / "config.json").write_text('{"a": 1}')
    hub.add("org/tiny", folder, revision="refs/pr/1")
    assert commit_of(HubName("org/tiny")) == first
    assert (local_folder(Path("org/tiny@refs/pr/1"), "config") / "config.json").read_text() == '{"a": 1}'
    asked = len(hub.log)
    assert commit_of(HubName("org/tiny", first)) == first
    assert len(hub.log) == asked
    assert (local_folder(Path(f"org/tiny@{first}"), "config") / "config.json").read_text() == "{}"
    with pytest.raises(HubError, match=r"/org/tiny has no revision 'v9'; name a branch, a tag or a commit"):
        commit_of(HubName("org/tiny", "v9"))


def test_a_model_that_is_not_there_or_not_for_everybody(hub, folder, tmp_path, monkeypatch):
    hub.users |= {"org", "guest"}
    with pytest.raises(
        HubError, match=r"no folder org/typo here, and http.* that can be read without logging in; correct"
    ):
        local_folder(Path("org/typo"), "config")
    hub.add("org/tiny", folder, private=True)
    with pytest.raises(HubError, match="has no model of that name that can be read without logging in"):
        local_folder(NAME, "config")
    connect(hub.url, tmp_path, monkeypatch, token="guest")
    with pytest.raises(HubError, match="has no model of that name that the token of this machine may read"):
        local_folder(NAME, "config")
    connect(hub.url, tmp_path, monkeypatch, token="org")
    assert local_folder(NAME, "config").is_dir()
    connect(hub.url, tmp_path, monkeypatch, token="expired")
    with pytest.raises(
        HubError, match=r"the hub answered 401 .*Invalid.*; log in .*the token of this machine may not"
    ) as caught:
        local_folder(Path("org/other"), "config")
    assert "expired" not in str(caught.value)


def test_a_gated_model(hub, folder, tmp_path, monkeypatch):
    hub.users |= {"guest", "reader"}
    hub.add("org/tiny", folder, gated=True)
    with pytest.raises(HubError, match="/org/tiny is gated: accept its terms there, and log in"):
        local_folder(NAME, "config")
    connect(hub.url, tmp_path, monkeypatch, token="guest")
    with pytest.raises(HubError, match="/org/tiny is gated"):
        local_folder(NAME, "config")
    hub.repositories["org/tiny"].granted = frozenset({"reader"})
    connect(hub.url, tmp_path, monkeypatch, token="reader")
    assert local_folder(NAME, "weights").is_dir()


def test_without_a_network_the_cache_serves_and_says_so(hub, folder, monkeypatch, caplog):
    commit = hub.add("org/tiny", folder)
    found = local_folder(NAME, "weights")
    disconnect(monkeypatch)
    asked = len(hub.log)
    assert local_folder(NAME, "weights") == cached_folder(NAME) == found
    assert f"HF_HUB_OFFLINE is set; taking commit {commit} of org/tiny from" in caplog.text
    assert commit_of(HubName("org/tiny")) == commit
    with pytest.raises(
        match=r"org/other cannot be asked: HF_HUB_OFFLINE is set, and .* holds nothing of org/other@main",
    ):
        local_folder(Path("org/other"), "config")
    assert len(hub.log) == asked


def test_a_hub_that_is_down(folder, tmp_path, monkeypatch):
    connect("http://127.0.0.1:1", tmp_path, monkeypatch)
    with pytest.raises(
        match=r"http://127\.0\.0\.1:1/org/tiny cannot be reached .*; connect once, or name a local folder",
    ):
        local_folder(NAME, "config")


def test_half_fetched_weights_are_not_taken_for_whole(hub, folder, monkeypatch):
    hub.add("org/tiny", folder)
    local_folder(NAME, "config")
    disconnect(monkeypatch)
    assert cached_folder(NAME) is None
    with pytest.raises(HubError, match=r"holds no weights"):
        local_folder(NAME, "weights")


def test_nothing_of_the_hub_is_imported_before_it_is_asked():
    code = "import sys, pathlib, aista.hub as hub; hub.hub_name(pathlib.Path('a/b')); print('requests' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
