"""Errors of the hub, each explained with its remedy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from aista.errors import AistaError

__all__ = ["HubError", "HubUnreachableError", "hub_errors", "hub_url"]


class HubError(AistaError, ValueError):
    """The model that a name on the hub stands for cannot be used; the message says what to do."""


class HubUnreachableError(HubError):
    """The hub cannot be asked: no network, or HF_HUB_OFFLINE."""


def hub_url(repo: str) -> str:
    """The page of a model."""
    from huggingface_hub import constants

    return f"{constants.ENDPOINT}/{repo}"


@contextmanager
def hub_errors(repo: str, revision: str = "main") -> Iterator[None]:
    """Turn any error of ``huggingface_hub`` in the block into one that says what it means and what to do.

    Raises:
        HubUnreachableError: the hub could not be asked.
        HubError: it refused.
    """
    from huggingface_hub import constants, errors, get_token
    from requests import RequestException

    url, host = hub_url(repo), constants.ENDPOINT
    login = "log in (`hf auth login`, or HF_TOKEN) with an account"
    try:
        yield
    except errors.GatedRepoError as error:
        raise HubError(f"{url} is gated: accept its terms there, and {login} that did") from error
    except errors.RepositoryNotFoundError as error:
        may = "that the token of this machine may read" if get_token() else "that can be read without logging in"
        raise HubError(
            f"there is no folder {repo} here, and {host} has no model of that name {may}; correct the name or the "
            f"path, or, if it is private, {login} that may read it"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise HubError(f"{url} has no revision {revision!r}; name a branch, a tag or a commit") from error
    except errors.OfflineModeIsEnabled as error:
        raise HubUnreachableError(f"{url} cannot be asked: HF_HUB_OFFLINE is set") from error
    except errors.LocalEntryNotFoundError as error:
        raise HubUnreachableError(f"{url} cannot be reached ({_reason(error)})") from error
    except errors.HfHubHTTPError as error:
        status = 0 if error.response is None else error.response.status_code
        remedy = "try again later"
        if status in (401, 403):
            remedy = f"{login} that may do this" + (" (the token of this machine may not)" if get_token() else "")
        raise HubError(
            f"{url}: the hub answered {status} ({error.server_message or _reason(error)}); {remedy}"
        ) from error
    except RequestException as error:
        raise HubUnreachableError(f"{url} cannot be reached ({_reason(error)})") from error


def _reason(error: Exception) -> str:
    """The first line of the error at the bottom of a chain."""
    while isinstance(below := error.__cause__ or error.__context__, Exception):
        error = below
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
