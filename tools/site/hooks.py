"""mkdocs' hooks: pages written at build time, and links that leave docs/."""

from __future__ import annotations

import posixpath
from collections.abc import Collection
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

from tools.site.commands import commands_page
from tools.site.components import component_pages, config_page
from tools.site.python_api import imported_modules, module_page
from tools.site.repository import Repository

__all__ = ["filled", "generated_pages", "on_files", "on_page_markdown", "written_pages"]

ROOT = Path(__file__).parents[2]
_REPOSITORY = Repository(ROOT)
_paths: dict[str, str] = {}  # Markdown file on the site -> the file of the checkout that it shows
_SEEDS = ("docs/decisions", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "benchmarks/README.md")


def generated_pages() -> dict[str, str]:
    """The pages of the reference: Markdown file on the site -> text."""
    code = [ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.*")]
    code += ROOT.glob("aista/templates/*/*.template")
    modules = imported_modules(file.read_text(encoding="utf-8") for file in code)
    pages = {f"reference/components/{name}": text for name, text in component_pages().items()}
    pages |= {f"reference/python/{module}.md": module_page(module) for module in modules}
    return {**pages, "reference/commands.md": commands_page(), "reference/config.md": config_page()}


def written_pages() -> dict[str, str]:
    """The Markdown files of docs/ and README.md: path in the checkout -> text."""
    files = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
    return {file.relative_to(ROOT).as_posix(): file.read_text(encoding="utf-8") for file in files}


def filled(nav: list[Any], uris: Collection[str]) -> list[Any]:
    """The navigation with the pages of a folder in place of each entry that ends in a slash, its index first."""
    items: list[Any] = []
    for item in nav:
        if isinstance(item, str):
            items += _in_folder(item, uris) if item.endswith("/") else [item]
            continue
        ((title, inner),) = item.items()
        if isinstance(inner, list):
            inner = filled(inner, uris)
        elif inner.endswith("/"):
            inner = _in_folder(inner, uris)
        items.append({title: inner})
    return items


def _in_folder(folder: str, uris: Collection[str]) -> list[str]:
    pages = [uri for uri in uris if posixpath.dirname(uri) == folder[:-1]]
    return sorted(pages, key=lambda uri: (posixpath.basename(uri) not in ("index.md", "README.md"), uri[:-3]))


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are written at build time, and fill the navigation. Raises PluginError for what is missing."""
    written = written_pages()
    paths = {_REPOSITORY.uri(path): path for path in written}
    try:
        linked = _REPOSITORY.pages(written, _SEEDS)
        generated = generated_pages()
    except ValueError as error:
        raise PluginError(str(error)) from None
    for uri, text in generated.items():
        files.append(File.generated(config, uri, content=text))
    for path, text in {"README.md": written["README.md"], **linked}.items():
        paths[_REPOSITORY.uri(path)] = path
        page = File.generated(config, _REPOSITORY.uri(path), content=text, inclusion=InclusionLevel.NOT_IN_NAV)
        files.append(page)
    config.nav = filled(config.nav or [], [*paths, *generated])
    _paths.clear()
    _paths.update(paths)
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Turn the links of a file of the checkout into the site's."""
    path = _paths.get(page.file.src_uri)
    return markdown if path is None else _REPOSITORY.on_site(markdown, path)
