"""Pages for files of the repository that docs/ links to, so that links work both on a forge and on the site.

On a forge ``../SECURITY.md`` and ``../aista/pooling.py`` are files. On the site each becomes a page: Markdown as it is,
any other text as a listing, a folder as a list of its files. README.md is the home page.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote

__all__ = ["FOLDER", "Repository"]

FOLDER = "repository"
"""Folder on the site for files outside docs/."""
_FENCE = re.compile(r"^( *)(`{3,}).*?^\1\2 *$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"(?<=\]\()([^)\s#]+)(?=(?:#[^)\s]*)?\))")
_LANGUAGES = {".py": "python", ".yaml": "yaml", ".toml": "toml", ".sh": "bash"}


class Repository:
    """Translates links between files of a checkout to links on the site.

    Args:
        root: The checkout; files are named by their path in it, with slashes.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def uri(self, path: str) -> str:
        """The Markdown file of the site that shows a file or folder of the checkout."""
        if path == "README.md":
            return "index.md"
        if (self.root / path).is_dir():
            path = f"{path}/index.md"
        if path.startswith("docs/"):
            return path.removeprefix("docs/")
        return f"{FOLDER}/{path}" if path.endswith(".md") else f"{FOLDER}/{path}.md"

    def links(self, text: str, path: str) -> Iterator[str]:
        """The files and folders of the checkout that a Markdown text, the file ``path``'s, links to."""
        for match in _LINK.finditer(_FENCE.sub("", text)):
            target = self._target(match[0], path)
            if target is not None:
                yield target

    def on_site(self, text: str, path: str) -> str:
        """The text with links to files of the checkout translated to the site; others are kept."""
        here = posixpath.dirname(self.uri(path))

        def rewritten(match: re.Match[str]) -> str:
            target = self._target(match[0], path)
            return match[0] if target is None else posixpath.relpath(self.uri(target), here or ".")

        return _outside_fences(text, lambda prose: _LINK.sub(rewritten, prose))

    def pages(self, texts: Mapping[str, str], seeds: Iterable[str] = ()) -> dict[str, str]:
        """Every page that ``seeds`` name, or ``texts``, Markdown files by path, lead to; none of these themselves.

        Raises:
            ValueError: a file is not a text.
        """
        found: dict[str, str] = {}
        queue = [*seeds, *(target for path, text in texts.items() for target in self.links(text, path))]
        while queue:
            path = queue.pop()
            if path in found or path in texts or (path.startswith("docs/") and (self.root / path).is_file()):
                continue
            found[path] = self._page(path)
            queue += self.links(found[path], path)
        return found

    def _target(self, link: str, path: str) -> str | None:
        """The path that a relative link stands for, of a folder its README; None for an address or a missing file."""
        if ":" in link or link.startswith("/"):
            return None
        target = posixpath.normpath(posixpath.join(posixpath.dirname(path), unquote(link)))
        if target.startswith("..") or not (self.root / target).exists():
            return None
        readme = f"{target}/README.md"
        return readme if (self.root / readme).is_file() else target

    def _page(self, path: str) -> str:
        place = self.root / path
        if place.is_dir():
            return _listing(place, path)
        try:
            text = place.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise ValueError(f"{path}: a page links to it, and it is not a text; put images below docs/") from None
        if path.endswith(".md"):
            return text
        language = _LANGUAGES.get(place.suffix, "text")
        return f"---\nsearch:\n  exclude: true\n---\n\n# {path}\n\n````{language}\n{text}````\n"


def _listing(folder: Path, path: str) -> str:
    """The files of a folder, as links; of Markdown their titles."""
    lines = [f"# {path}", ""]
    for file in sorted(folder.iterdir()):
        if file.name.startswith((".", "__")):
            continue
        title = file.name
        if file.suffix == ".md":
            title = file.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ")
        lines.append(f"- [{title}]({path.rpartition('/')[2]}/{file.name})")
    return "\n".join(lines) + "\n"


def _outside_fences(text: str, change: Callable[[str], str]) -> str:
    done, end = [], 0
    for fence in _FENCE.finditer(text):
        done += [change(text[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*done, change(text[end:])])
