"""How files go wrong: by themselves on disks and networks, or by somebody's hand."""

import json

from hypothesis import strategies as st

KINDS = st.sampled_from(["flip", "flip", "flip", "cut", "zeros", "twice", "grown", "lost"])
PLACES = ["", ".", "..", "../x", "/etc/passwd", "../../x.safetensors", "a\0b", "x" * 300, "llm", "model.safetensors"]
VALUES = st.one_of(
    st.sampled_from([None, True, False, 0, -1, 1, 10**6, 10**9, 10**18, 0.5, 1e308, [], {}, "evil/repo", *PLACES]),
    st.text(max_size=8),
)
"""What stands in JSON where something else is expected."""


def damage(file, kind, place, value):
    """Damage a file in one way; whether it differs from what it was."""
    before = file.read_bytes()
    if kind == "lost":
        file.unlink()
        return True
    place %= max(len(before), 1)
    after = {
        "flip": before[:place] + bytes([before[place] ^ (1 << value % 8)]) + before[place + 1 :],
        "cut": before[:place],
        "zeros": before[:place] + bytes(len(before) - place),
        "twice": before[:place] + before,
        "grown": before + bytes([value % 256]),
    }[kind]
    file.write_bytes(after)
    return after != before


def plant(file, place, value):
    """Put a value in the place of one in a JSON file."""
    data = json.loads(file.read_text())
    paths = [path for path in _paths(data) if path] or [("new",)]
    *way, last = paths[place % len(paths)]
    inner = data
    for key in way:
        inner = inner[key]
    inner[last] = value
    file.write_text(json.dumps(data))


def _paths(value, path=()):
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield from _paths(item, (*path, key))
