"""Every page of docs/ is in the site's navigation, and every component in its reference."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from aista import registry
from aista.kinds import KINDS
from tools.site.components import built_in, component_pages
from tools.site.hooks import filled, written_pages
from tools.site.repository import Repository

ROOT = Path(__file__).parents[1]
NAV = yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), yaml.BaseLoader)["nav"]


def leaves(nav):
    for item in nav:
        inner = next(iter(item.values())) if isinstance(item, dict) else item
        if isinstance(inner, list):
            yield from leaves(inner)
        else:
            yield inner


def test_every_page_is_in_the_navigation():
    repository = Repository(ROOT)
    pages = {repository.uri(path) for path in written_pages()}
    assert pages <= set(leaves(filled(NAV, pages)))


def test_the_navigation_names_files():
    repository = Repository(ROOT)
    for uri in leaves(NAV):
        if uri.startswith("reference/") or uri == "index.md":
            continue  # written at build time
        path = uri.removeprefix("repository/") if uri.startswith("repository/") else f"docs/{uri}"
        assert (ROOT / path).exists(), uri
        assert repository.uri(path.rstrip("/")).startswith(uri), uri


def test_a_folder_is_filled_with_its_pages_index_first():
    uris = ["a/2.md", "a/README.md", "a/1.md", "b/1.md", "a/c/1.md"]
    assert filled(["x.md", "a/", {"T": "b/"}, {"U": ["a/"]}], uris) == [
        *("x.md", "a/README.md", "a/1.md", "a/2.md"),
        {"T": ["b/1.md"]},
        {"U": ["a/README.md", "a/1.md", "a/2.md"]},
    ]


@pytest.fixture(scope="module")
def pages():
    return component_pages()


@pytest.mark.parametrize("kind", KINDS)
def test_every_component_and_option_is_in_the_reference(pages, kind):
    page = pages[f"{kind}.md"]
    for entry in built_in(kind):
        section = page.split(f"\n## {entry.name}\n")[1].split("\n## ")[0]
        assert f"::: {entry.origin}\n" in section
        options = re.findall(r"^\*\*`(\w+)`\*\*", section, flags=re.MULTILINE)
        assert options == [field.name for field in entry.options]
        assert yaml.safe_load(section.split("```yaml\n")[1].split("```")[0])
    assert f"[`{kind}`]({kind}.md)" in pages["index.md"]


def test_a_plugins_component_is_not_aistas(clean_registry):
    @registry.register("cost", "test_plugin")
    def build():
        """A cost."""

    assert "test_plugin" in registry.names("cost")
    assert "test_plugin" not in [entry.name for entry in built_in("cost")]


@pytest.mark.parametrize(
    ("page", "kind"),
    [
        ("solver", "ot_solver"),
        ("loss", "alignment_loss"),
        ("layers", "layer_selection"),
        ("adapter", "adapter"),
        ("encoder", "encoder"),
    ],
)
def test_every_component_has_a_place_where_it_is_chosen(page, kind):
    advice = (ROOT / "docs" / "choose" / f"{page}.md").read_text(encoding="utf-8").split("\n| ")[0]
    assert [entry.name for entry in built_in(kind) if f"`{entry.name}`" not in advice] == []
