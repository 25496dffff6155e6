"""Matches names by a user's regular expression, in bounded time.

Python's engine backtracks: ``(a+)+b`` can keep it busy for years on one name, and nothing in its process can stop it.
A pattern is therefore matched in a separate process with limits on time and memory.
"""

from __future__ import annotations

import json
import re
import resource
import subprocess
import sys
from collections.abc import Sequence
from functools import lru_cache

__all__ = ["MAX_MEMORY", "MAX_SECONDS", "matching"]

MAX_SECONDS = 1
"""Processor time for one pattern and all names; a few milliseconds do for thousands of them."""
MAX_MEMORY = 2**29
"""Bytes of address space for the same; Python itself takes a twentieth."""


@lru_cache(maxsize=64)
def matching(pattern: str, names: tuple[str, ...], *, whole: bool) -> frozenset[str]:
    """The dotted names that a pattern matches: their beginning, or, if ``whole``, all of one or of its module's name.

    Raises:
        ValueError: it is not a regular expression, or takes too long.
    """
    from aista.errors import shown  # not at the top: the child runs this file and has no aista

    child = subprocess.run(
        [sys.executable, "-I", "-S", __file__],
        input=json.dumps([pattern, names, whole]),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=False,
    )
    if child.returncode:
        raise ValueError(
            f"{shown(pattern)} takes more than {MAX_SECONDS} s or {MAX_MEMORY >> 20} MiB to match; write it without "
            "nested or repeated *, + and {}"
        )
    result = json.loads(child.stdout)
    if isinstance(result, str):
        raise ValueError(f"{shown(pattern)} is not a regular expression: {result}")
    return frozenset(result)


def _match(pattern: str, names: Sequence[str], whole: bool) -> list[str] | str:
    try:
        regex = re.compile(pattern)
        if whole:
            regex = re.compile(rf"(?:{pattern})(?:\.|\Z)")
    except (re.error, ValueError, OverflowError, RecursionError) as error:
        return str(error)
    return [name for name in names if regex.match(name)]


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_SECONDS, MAX_SECONDS))
    json.dump(_match(*json.load(sys.stdin)), sys.stdout)
