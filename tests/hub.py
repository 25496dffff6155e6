"""A small hub on the loopback that speaks what ``huggingface_hub`` asks of the real one, and keeps a log of it.

Served are a model's listing, its files (large ones behind a redirect, as from a CDN), and uploads: preupload, LFS and
commits. Tokens are names of users, who may write in the namespace of that name.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import yaml

LARGE = (".safetensors", ".bin")


@dataclass
class Repository:
    """Commits are kept for ever; a revision is a name of one."""

    private: bool = False
    granted: frozenset[str] | None = None
    """Users that accepted the terms; None: it is not gated."""
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    revisions: dict[str, str] = field(default_factory=dict)

    def commit(self, files: Mapping[str, bytes], revision: str = "main") -> str:
        content = json.dumps([len(self.commits), [[name, _sha256(data)] for name, data in sorted(files.items())]])
        commit = hashlib.sha1(content.encode()).hexdigest()
        self.commits[commit] = dict(files)
        self.revisions[revision] = commit
        return commit

    @property
    def files(self) -> dict[str, bytes]:
        return self.commits[self.revisions["main"]]


@dataclass
class Hub:
    """What a hub holds; ``log`` has a line for each request, without its headers."""

    users: set[str] = field(default_factory=set)
    repositories: dict[str, Repository] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    url: str = ""

    def add(
        self, name: str, folder: Path, *, revision: str = "main", private: bool = False, gated: bool = False
    ) -> str:
        """Publish the files of a folder; returns the commit."""
        files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        repository = self.repositories.setdefault(name, Repository(private, frozenset() if gated else None))
        return repository.commit(files, revision)

    def asked(self, part: str) -> list[str]:
        """The lines of the log with this in them."""
        return [line for line in self.log if part in line]

    @contextmanager
    def serving(self) -> Iterator[Hub]:
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        self.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


def connect(hub_url: str, home: Path, monkeypatch: pytest.MonkeyPatch, *, token: str = "") -> None:
    """Let ``huggingface_hub`` in this process and in its children know no other hub, cache and token."""
    from huggingface_hub import constants, file_download
    from huggingface_hub.utils import reset_sessions

    template = "{repo_id}/resolve/{revision}/{filename}"
    changes = {
        "ENDPOINT": hub_url,
        "HF_HUB_CACHE": str(home / "hub"),
        "HF_TOKEN_PATH": str(home / "token"),
        "HF_HUB_OFFLINE": False,
    }
    for name, value in changes.items():
        monkeypatch.setattr(constants, name, value)
    monkeypatch.setattr(file_download, "HUGGINGFACE_CO_URL_TEMPLATE", f"{hub_url}/{template}")
    monkeypatch.setenv("HF_ENDPOINT", hub_url)
    monkeypatch.setenv("HF_HOME", str(home))
    for name in ("HF_HUB_OFFLINE", "HF_HUB_CACHE", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    reset_sessions()


def disconnect(monkeypatch: pytest.MonkeyPatch) -> None:
    """As HF_HUB_OFFLINE=1 would, and forget what was listed."""
    from huggingface_hub import constants
    from huggingface_hub.utils import reset_sessions

    from aista import hub

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    reset_sessions()
    hub._listings.clear()


class _RefusalError(Exception):
    def __init__(self, status: int, code: str = "", message: str = "") -> None:
        self.status, self.code, self.message = status, code, message


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_HEAD(self) -> None:
        self._answer(self._get)

    def do_POST(self) -> None:
        self._answer(self._post)

    def do_PUT(self) -> None:
        self._answer(self._put)

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _answer(self, respond: Any) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self.body = self.rfile.read(length) if length else b""
        path = unquote(urlsplit(self.path).path)
        try:
            respond(path)
        except _RefusalError as refusal:
            headers = {"X-Error-Code": refusal.code, "X-Error-Message": refusal.message}
            self._send(json.dumps({"error": refusal.message}).encode(), refusal.status, headers)

    def _send(self, body: bytes, status: int = HTTPStatus.OK, headers: Mapping[str, str] | None = None) -> None:
        self.hub.log.append(f"{self.command} {unquote(self.path)} {int(status)} {len(body)}")
        self.send_response(status)
        for name, value in (headers or {}).items():
            if value:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _json(self, value: Any) -> None:
        self._send(json.dumps(value).encode())

    @property
    def user(self) -> str:
        """Who asks; empty without a token."""
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if token and token not in self.hub.users:
            raise _RefusalError(401, message="Invalid credentials in Authorization header")
        return token

    def _repository(self, name: str) -> Repository:
        found = self.hub.repositories.get(name)
        if found is None or (found.private and self.user != name.partition("/")[0]):
            raise _RefusalError(404 if self.user else 401, "RepoNotFound", "Repository not found")
        return found

    def _commit(self, repository: Repository, revision: str) -> str:
        commit = repository.revisions.get(revision, revision)
        if commit not in repository.commits:
            raise _RefusalError(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return commit

    def _get(self, path: str) -> None:
        parts = path.strip("/").split("/")
        if parts[:2] == ["api", "models"]:
            self._info("/".join(parts[2:4]), "/".join(parts[5:]) or "main")
        elif len(parts) > 4 and parts[2] == "resolve":
            name, rest = "/".join(parts[:2]), "/".join(parts[3:])
            repository = self._repository(name)
            revisions = (*repository.revisions, *repository.commits)
            revision = next((one for one in revisions if rest.startswith(f"{one}/")), parts[3])
            self._file(repository, self._commit(repository, revision), rest.removeprefix(f"{revision}/"))
        elif parts[0] == "cdn" and parts[1] in self.hub.objects:
            self._send(self.hub.objects[parts[1]])
        else:
            raise _RefusalError(404, "EntryNotFound", "Entry not found")

    def _info(self, name: str, revision: str) -> None:
        repository = self._repository(name)
        commit = self._commit(repository, revision)
        files = repository.commits[commit]
        siblings = [{"rfilename": file, "size": len(data)} for file, data in files.items()]
        private, gated = repository.private, False if repository.granted is None else "manual"
        facts = {"id": name, "modelId": name, "sha": commit, "private": private, "gated": gated, "siblings": siblings}
        self._json(facts | {"xetEnabled": False})

    def _file(self, repository: Repository, commit: str, file: str) -> None:
        if repository.granted is not None and self.user not in repository.granted:
            raise _RefusalError(403 if self.user else 401, "GatedRepo", "Access to this model is restricted")
        data = repository.commits[commit].get(file)
        if data is None:
            raise _RefusalError(404, "EntryNotFound", "Entry not found")
        headers = {"X-Repo-Commit": commit, "ETag": f'"{hashlib.sha1(data).hexdigest()}"'}
        if file.endswith(LARGE):
            sha256 = _sha256(data)
            self.hub.objects[sha256] = data
            linked = {"X-Linked-Etag": f'"{sha256}"', "X-Linked-Size": str(len(data))}
            self._send(b"", 302, headers | linked | {"Location": f"{self.hub.url}/cdn/{sha256}"})
        else:
            self._send(data, headers=headers)

    def _post(self, path: str) -> None:
        parts = path.strip("/").split("/")
        if path == "/api/repos/create":
            self._create(json.loads(self.body))
        elif path == "/api/validate-yaml":
            self._validate(json.loads(self.body)["content"])
        elif path.endswith("/info/lfs/objects/batch"):
            self._writable("/".join(parts[:2]).removesuffix(".git"))
            objects = [
                one
                | ({} if one["oid"] in self.hub.objects else {"actions": {"upload": {"href": self._lfs(one["oid"])}}})
                for one in json.loads(self.body)["objects"]
            ]
            self._json({"transfer": "basic", "objects": objects})
        elif parts[4] == "preupload":
            self._writable("/".join(parts[2:4]))
            modes = [
                {"path": one["path"], "uploadMode": "lfs" if one["path"].endswith(LARGE) else "regular"}
                for one in json.loads(self.body)["files"]
            ]
            self._json({"files": [mode | {"shouldIgnore": False} for mode in modes]})
        elif parts[4] == "commit":
            self._add_commit("/".join(parts[2:4]), [json.loads(line) for line in self.body.splitlines()])
        else:
            raise _RefusalError(404)

    def _put(self, path: str) -> None:
        oid = path.removeprefix("/lfs/")
        if _sha256(self.body) != oid:
            raise _RefusalError(422, message="SHA-256 differs")
        self.hub.objects[oid] = self.body
        self._send(b"")

    def _lfs(self, oid: str) -> str:
        return f"{self.hub.url}/lfs/{oid}"

    def _create(self, request: Mapping[str, Any]) -> None:
        name = f"{request.get('organization') or self.user}/{request['name']}"
        if not self.user or name.partition("/")[0] != self.user:
            raise _RefusalError(
                403 if self.user else 401, message=f"You don't have the rights to create a model under {name}"
            )
        if name in self.hub.repositories:
            raise _RefusalError(409, message="You already created this model repo")
        repository = Repository(private=request.get("private", False))
        repository.commit({".gitattributes": b"*.safetensors filter=lfs\n"})
        self.hub.repositories[name] = repository
        self._json({"url": f"{self.hub.url}/{name}"})

    def _validate(self, card: str) -> None:
        """The hub's schema: what is given has a value of its type."""
        meta = yaml.safe_load(card.split("---")[1]) if card.startswith("---") else {}
        types = {"license": str, "language": list, "tags": list, "library_name": str, "base_model": list}
        wrong = [
            f'"{key}" must be a {kind.__name__}'
            for key, kind in types.items()
            if not isinstance(meta.get(key, kind()), kind)
        ]
        if wrong:
            body = {"errors": [{"message": message} for message in wrong], "warnings": []}
            self._send(json.dumps(body).encode(), 400)
        else:
            self._json({"errors": [], "warnings": []})

    def _writable(self, name: str) -> Repository:
        repository = self._repository(name)
        if self.user != name.partition("/")[0]:
            raise _RefusalError(403, message=f"You do not have write access to {name}")
        return repository

    def _add_commit(self, name: str, lines: list[Any]) -> None:
        repository = self._writable(name)
        files = dict(repository.files)
        for line in lines[1:]:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.hub.objects[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        commit = repository.commit(files)
        self._json({"commitUrl": f"{self.hub.url}/{name}/commit/{commit}", "commitOid": commit, "success": True})


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
