"""Models on the Hugging Face hub: recognise their names, resolve commits, fetch files into the hub's local cache.

Wherever a config takes the folder of a pretrained model, it also takes ``ORG/NAME`` or ``ORG/NAME@REVISION``. A local
folder of that path takes precedence. ``huggingface_hub`` downloads, with its cache, its token and its variables
(HF_HUB_OFFLINE, HF_ENDPOINT, HF_HOME). Only the needed files are downloaded: JSON, a tokenizer's files, safetensors.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from aista.hub_errors import HubError, HubUnreachableError, hub_errors, hub_url
from aista.model_folder import INDEX, WEIGHTS, is_tokenizer_file, read_json, without_safetensors

__all__ = [
    "HubName",
    "Need",
    "cached_folder",
    "commit_of",
    "has_weights",
    "hub_name",
    "local_files",
    "local_folder",
    "settings_files",
]

log = logging.getLogger("aista.hub")

Need = Literal["config", "tokenizer", "weights"]
"""Which files of a model: its config files, its tokenizer's files, or its config files and weights."""

_PART = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?"
_NAME = re.compile(rf"(?P<repo>{_PART}/{_PART})(?:@(?P<revision>[\w./-]+))?", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_CONFIG = ("config.json", "preprocessor_config.json", "adapter_config.json")
_SIGNS = ("config.json", "tokenizer_config.json", "tokenizer.json", "hparams.yaml")
"""A cached model without any of these files is of no use."""


@dataclass(frozen=True)
class HubName:
    """A model on the hub: ``ORG/NAME``, and a branch, tag or commit of it."""

    repo: str
    revision: str = "main"

    @classmethod
    def parse(cls, path: Path) -> HubName | None:
        """Parse a path as a name on the hub, even if it exists here; None where it cannot be such a name."""
        match = _NAME.fullmatch(str(path))
        if match is None or "--" in match["repo"] or ".." in match["repo"]:
            return None
        return cls(match["repo"], match["revision"] or "main")

    @property
    def is_pinned(self) -> bool:
        """Whether the revision is a full commit, which never moves."""
        return _COMMIT.fullmatch(self.revision) is not None

    def at(self, commit: str) -> Path:
        """The path that names this model at a commit."""
        return Path(f"{self.repo}@{commit}")

    def __str__(self) -> str:
        return f"{self.repo}@{self.revision[:12] if self.is_pinned else self.revision}"


def hub_name(path: Path) -> HubName | None:
    """The model on the hub that a path names; None where the path exists here, or cannot be such a name."""
    return None if path.exists() else HubName.parse(path)


def commit_of(name: HubName) -> str:
    """Resolve a revision to its present full commit; one that is a full commit needs no request.

    Raises:
        HubError: no such model or revision, or the hub cannot be asked and the cache does not know.
    """
    return name.revision if name.is_pinned else _listing(name).commit


def local_folder(path: Path, *needs: Need) -> Path:
    """Return the local folder of a path or of a name on the hub, with the needed files of the latter fetched.

    Args:
        path: Returned as it is unless ``hub_name`` reads it as a name.
        needs: The files that the caller will read.

    Raises:
        HubError: the hub has no such model or will not give it, or it has no safetensors where weights are needed.
        OSError: the cache cannot be written.
    """
    name = hub_name(path)
    if name is None:
        return path
    listing = _listing(name)
    files = {file for need in needs for file in listing.needed(need)}
    if "weights" in needs:
        if reason := without_safetensors(listing.sizes):
            raise HubError(
                f"{hub_url(name.repo)} holds {reason}; choose a revision or another model that has them, "
                "or convert it once with transformers (save_pretrained writes safetensors) and name that folder"
            )
        files |= _weight_files(name, listing)
    if not files:
        raise HubError(f"{hub_url(name.repo)} holds no config.json, so no model for transformers; choose another")
    return _fetch(name, listing, sorted(files))


def local_files(path: Path, *files: str, later: Sequence[str] = ()) -> Path:
    """Like ``local_folder``, for a model of another layout; the caller names its files and must read them safely.

    Args:
        path: Returned as it is unless ``hub_name`` reads it as a name.
        files: Files to fetch.
        later: Files that must be on the hub, but are not fetched.

    Raises:
        HubError: the hub has no such model, or not these files, or will not give them.
    """
    name = hub_name(path)
    if name is None:
        return path
    listing = _listing(name)
    missing = [file for file in (*files, *later) if file not in listing.sizes]
    if missing and listing.is_cached:
        raise HubUnreachableError(
            f"{hub_url(name.repo)} cannot be asked, and the cache lacks {missing[0]}; connect once"
        )
    if missing:
        raise HubError(f"{hub_url(name.repo)} holds no {missing[0]}; choose another model or revision")
    return _fetch(name, listing, list(files))


def settings_files(path: Path) -> list[Path]:
    """The files other than weights that a model is built from, sorted; of a local folder all its files.

    Raises:
        HubError: as ``local_folder``.
    """
    name = hub_name(path)
    if name is None:
        return sorted(path.iterdir())
    folder = local_folder(path, "config")
    return [folder / file for file in sorted(_listing(name).needed("config"))]


def has_weights(path: Path) -> bool:
    """Whether a path or a name on the hub has weights; none are downloaded.

    Raises:
        HubError: as ``commit_of``.
    """
    name = hub_name(path)
    if name is not None:
        return not without_safetensors(_listing(name).sizes)
    return path.is_file() or any(path.glob("*.safetensors"))


def cached_folder(path: Path) -> Path | None:
    """As ``local_folder`` with weights, but without a network: None where they are not on this machine."""
    name = hub_name(path)
    if name is None:
        return path if path.exists() else None
    listing = _cached(name)
    if listing is None or without_safetensors(listing.sizes):
        return None
    folder = _snapshot(name)
    assert folder is not None
    index = read_json(folder / INDEX) if INDEX in listing.sizes else {}
    return folder if all((folder / file).is_file() for file in index.get("weight_map", {}).values()) else None


@dataclass(frozen=True)
class _Listing:
    """The files of a model at a commit, with their bytes; ``is_cached``: only those on this machine."""

    commit: str
    sizes: Mapping[str, int]
    is_cached: bool = False

    def needed(self, need: Need) -> set[str]:
        """Names of the files that are needed; those of the weights are not among them."""
        files = {file for file in self.sizes if file in _CONFIG}
        if need == "tokenizer":
            files |= {file for file in self.sizes if is_tokenizer_file(file)}
        return files


_listings: dict[tuple[HubName, tuple[str, str]], _Listing] = {}
"""Listings by model, hub and cache."""


def _listing(name: HubName) -> _Listing:
    """The files that the hub has of a model; it is asked once per commit in a process."""
    from huggingface_hub import constants

    hub = constants.ENDPOINT, str(constants.HF_HUB_CACHE)
    if (name, hub) not in _listings:
        found = _ask(name, *hub)
        _listings[name, hub] = _listings[HubName(name.repo, found.commit), hub] = found
    return _listings[name, hub]


def _ask(name: HubName, endpoint: str, cache_dir: str) -> _Listing:
    """The hub's answer, or the cache's where the hub cannot be asked."""
    from huggingface_hub import HfApi, constants, hf_hub_download

    try:
        with hub_errors(name.repo, name.revision):
            info = HfApi(endpoint=endpoint).model_info(
                name.repo, revision=name.revision, timeout=constants.HF_HUB_ETAG_TIMEOUT, files_metadata=True
            )
            sizes = {file.rfilename: file.size or 0 for file in info.siblings or ()}
            for sign in [file for file in _SIGNS if file in sizes][: 0 if name.is_pinned else 1]:
                # By its name, so that the cache records the name for use without a network.
                hf_hub_download(name.repo, sign, revision=name.revision, endpoint=endpoint)
    except HubUnreachableError as error:
        cached = _cached(name)
        if cached is None:
            raise HubUnreachableError(
                f"{error}, and {cache_dir} holds nothing of {name}; connect once, or name a local folder"
            ) from error
        level = logging.INFO if name.is_pinned else logging.WARNING
        log.log(level, "%s; taking commit %s of %s from %s", error, cached.commit, name.repo, cache_dir)
        return cached
    return _Listing(str(info.sha), sizes)


def _cached(name: HubName) -> _Listing | None:
    folder = _snapshot(name)
    if folder is None:
        return None
    files = (path for path in folder.rglob("*") if path.is_file())
    sizes = {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}
    return _Listing(folder.name, sizes, is_cached=True)


def _snapshot(name: HubName) -> Path | None:
    """The folder of a revision in the cache, if it holds anything useful."""
    from huggingface_hub import try_to_load_from_cache

    places = (try_to_load_from_cache(name.repo, file, revision=name.revision) for file in _SIGNS)
    return next((Path(place).parent for place in places if isinstance(place, str)), None)


def _weight_files(name: HubName, listing: _Listing) -> set[str]:
    """The single file of weights, or the index and the shards that it names."""
    if INDEX not in listing.sizes:
        return {WEIGHTS}
    index = _fetch(name, listing, [INDEX]) / INDEX
    named = read_json(index).get("weight_map")
    shards = set(named.values()) if isinstance(named, dict) else set()
    unknown = sorted(str(file) for file in shards if file not in listing.sizes)
    url = hub_url(name.repo)
    if unknown and listing.is_cached:
        raise HubUnreachableError(f"{url} cannot be asked, and the cache here lacks {unknown[0]}; connect once")
    if unknown or not shards or not all(file.endswith(".safetensors") for file in shards):
        raise HubError(f"{url}: its {INDEX} names {unknown[0] if unknown else 'no safetensors'}; choose another")
    return {INDEX, *shards}


def _fetch(name: HubName, listing: _Listing, files: list[str]) -> Path:
    """Fetch files of a commit into the cache; returns its folder there."""
    from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache

    repo, commit = name.repo, listing.commit
    absent = [file for file in files if not isinstance(try_to_load_from_cache(repo, file, revision=commit), str)]
    if absent:
        size = sum(listing.sizes[file] for file in absent) / 1e6
        log.info("%s: fetching %d files, %.1f MB (commit %s)", hub_url(name.repo), len(absent), size, commit)
    with hub_errors(name.repo, name.revision):
        for file in files:
            hf_hub_download(repo, file, revision=commit, endpoint=constants.ENDPOINT)
    folder = _snapshot(HubName(repo, commit))
    assert folder is not None
    return folder
