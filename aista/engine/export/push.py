"""Uploads an exported folder to the Hugging Face hub as one commit, after showing what is uploaded where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aista.engine.export.record import CARD, RECORD, Record, check_files
from aista.errors import AistaError, RunError
from aista.hub import HubName
from aista.hub_errors import hub_errors, hub_url

__all__ = ["Push", "Target", "find_target", "plan_push"]

_OF_THE_CARD = "Invalid metadata"
"""Beginning of the hub's error about the metadata of the card, which it checks first."""
_OF_THE_HUB = (".gitattributes", CARD)
"""Files of a repository without an upload."""


@dataclass(frozen=True)
class Target:
    """A repository to upload to.

    Attributes:
        repo: ``ORG/NAME``.
        public: Whether everybody may read it.
        exists: Whether it already exists.
        files: Its files, except the hub's own file and the card.
        record: The export that it holds; None where it holds none.
    """

    repo: str
    public: bool
    exists: bool
    files: frozenset[str] = frozenset()
    record: Record | None = None


@dataclass(frozen=True)
class Push:
    """An upload to be confirmed.

    Attributes:
        folder: Exported folder.
        target: The repository.
        sizes: Name -> bytes of each file to send.
        stale: Files of an earlier export there that this one does not have; they are deleted.
        step: The checkpoint's.
    """

    folder: Path
    target: Target
    sizes: Mapping[str, int]
    stale: tuple[str, ...]
    step: int

    def __str__(self) -> str:
        target = self.target
        kind = f"{'public' if target.public else 'private'}, {'in place of the last export' if target.files else 'new'}"
        what = f"{len(self.sizes)} files, {_size(sum(self.sizes.values()))}"
        lines = [f"sending {what}, from {self.folder} to {hub_url(target.repo)} ({kind}):"]
        lines += [f"  {_size(size):>10}  {name}" for name, size in self.sizes.items()]
        return "\n".join([*lines, *(f"  {'delete':>10}  {name}" for name in self.stale)])

    def send(self) -> str:
        """Upload everything and return the URL of the commit; nothing is visible before it is complete.

        Raises:
            RunError: a file was not taken, or the card is not as the hub wants it.
            HubError: the hub refused or could not be reached.
        """
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, constants

        repo, again = self.target.repo, f"repeat it with `aista export {self.folder} --push {self.target.repo}`"
        api = HfApi(endpoint=constants.ENDPOINT)
        additions = [CommitOperationAdd(name, str(self.folder / name)) for name in self.sizes]
        deletions = [CommitOperationDelete(name) for name in self.stale]
        message = f"aista export of step {self.step}"
        with hub_errors(repo):
            if not self.target.exists:
                api.create_repo(repo, private=not self.target.public)
            try:
                commit = api.create_commit(repo, [*additions, *deletions], commit_message=message)
            except ValueError as error:
                if not str(error).startswith(_OF_THE_CARD):
                    raise
                reason = " ".join(str(error).split())
                raise RunError(f"{self.folder / CARD}: {reason}; correct it and {again}") from error
            except RuntimeError as error:  # of one file's upload
                reason = f"{error} ({error.__cause__})"
                raise RunError(f"{hub_url(repo)}: {reason}; nothing was changed there, {again}") from error
        return str(commit.commit_url)


def find_target(repo: str, *, public: bool) -> Target:
    """Check before anything is written that a repository can be uploaded to.

    Args:
        repo: ``ORG/NAME``; made by ``Push.send`` where it does not exist.
        public: Whether everybody may read it.

    Raises:
        AistaError: it is not a name, or nobody is logged in.
        RunError: it is public and shall not be, or the other way round.
        HubError: the hub refused or could not be reached.
    """
    from huggingface_hub import HfApi, constants, get_token, hf_hub_download
    from huggingface_hub.errors import RepositoryNotFoundError

    name = HubName.parse(Path(repo))
    if name is None or str(name.repo) != repo:
        raise AistaError(f"--push: expects ORG/NAME, got {repo!r}")
    if get_token() is None:
        raise AistaError(f"--push: {constants.ENDPOINT} requires a login; log in (`hf auth login`, or HF_TOKEN)")
    api = HfApi(endpoint=constants.ENDPOINT)
    with hub_errors(repo):
        try:
            info = api.model_info(repo, timeout=constants.HF_HUB_ETAG_TIMEOUT)
        except RepositoryNotFoundError:
            return Target(repo, public, exists=False)
        if bool(info.private) == public:
            is_now, remedy = ("private", "leave out --public") if info.private else ("public", "add --public")
            raise RunError(f"--push: {hub_url(repo)} is {is_now}; {remedy}, or change it on its page first")
        files = frozenset(file.rfilename for file in info.siblings or ()) - set(_OF_THE_HUB)
        record = None
        if RECORD in files:
            record = Record.read(Path(hf_hub_download(repo, RECORD, revision=info.sha, endpoint=api.endpoint)).parent)
    return Target(repo, public, exists=True, files=files, record=record)


def plan_push(folder: Path, target: Target) -> Push:
    """The files to upload: those of the export only, checked by their checksums; the card may have been edited.

    Raises:
        RunError: the folder is damaged, or the repository holds something else than an earlier export of the same run.
    """
    record = Record.read(folder)
    check_files(folder, record, verify=True)
    theirs = target.record
    if target.files and (theirs is None or (theirs.run, theirs.kind) != (record.run, record.kind)):
        found = ", ".join(sorted(target.files)[:3])
        raise RunError(
            f"--push: {hub_url(target.repo)} holds {found} and is not this export of that run; choose another name, or "
            "empty it on its page first"
        )
    sizes = {name: (folder / name).stat().st_size for name in sorted([*record.files, RECORD])}
    stale = () if theirs is None else tuple(sorted(theirs.files.keys() & target.files - sizes.keys()))
    return Push(folder, target, sizes, stale, record.step)


def _size(size: int) -> str:
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.2f} MB" if size >= 1e4 else f"{size} B"
