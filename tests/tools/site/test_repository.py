import pytest

from tools.site.repository import Repository


@pytest.fixture
def repository(tmp_path):
    for path, text in {
        "README.md": "# Home\n",
        "SECURITY.md": "See [the page](docs/page.md#part).\n",
        "docs/page.md": "",
        "docs/image.png": "",
        "docs/deep/0001-first.md": "# 1. First\n",
        "docs/deep/0002-second.md": "# 2. Second\n",
        "code/module.py": "X = 1\n",
        "code/README.md": "[up](../SECURITY.md) [module](module.py)\n",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    return Repository(tmp_path)


@pytest.mark.parametrize(
    ("path", "link", "on_site"),
    [
        ("README.md", "docs/page.md", "page.md"),
        ("README.md", "docs/image.png", "image.png"),
        ("README.md", "docs/deep", "deep/index.md"),
        ("README.md", "code", "repository/code/README.md"),
        ("README.md", "SECURITY.md", "repository/SECURITY.md"),
        ("SECURITY.md", "docs/page.md", "../page.md"),
        ("docs/page.md", "../README.md", "index.md"),
        ("docs/page.md", "deep/0001-first.md", "deep/0001-first.md"),
        ("docs/page.md", "../code/module.py", "repository/code/module.py.md"),
        ("docs/deep/0001-first.md", "../../code/module.py", "../repository/code/module.py.md"),
        ("code/README.md", "module.py", "module.py.md"),
        ("docs/page.md", "missing.md", "missing.md"),
        ("docs/page.md", "../../outside.md", "../../outside.md"),
        ("docs/page.md", "https://example.org/README.md", "https://example.org/README.md"),
        ("docs/page.md", "/README.md", "/README.md"),
    ],
)
def test_a_link_becomes_the_sites(repository, path, link, on_site):
    assert repository.on_site(f"[a]({link}) and [b]({link}#part)", path) == f"[a]({on_site}) and [b]({on_site}#part)"


def test_code_is_left_alone(repository):
    text = "```python\ncall[0](README.md)\n```\n[a](../README.md)\n```\n[b](../README.md)\n```\n"
    assert repository.on_site(text, "docs/page.md") == text.replace("[a](../README.md)", "[a](index.md)")
    assert list(repository.links(text, "docs/page.md")) == ["README.md"]


def test_pages_follow_links(repository):
    pages = repository.pages({"docs/page.md": "[code](../code) ![image](image.png)"}, ["docs/deep"])
    assert sorted(pages) == ["SECURITY.md", "code/README.md", "code/module.py", "docs/deep"]
    assert "````python\nX = 1\n````" in pages["code/module.py"]
    assert pages["docs/deep"].endswith("- [1. First](deep/0001-first.md)\n- [2. Second](deep/0002-second.md)\n")
    assert "](0001-first.md)" in repository.on_site(pages["docs/deep"], "docs/deep")


def test_a_linked_file_that_is_no_text_is_named(repository):
    (repository.root / "code" / "plot.png").write_bytes(b"\x89PNG")
    with pytest.raises(ValueError, match=r"code/plot\.png: a page links to it, and it is not a text"):
        repository.pages({"docs/page.md": "![plot](../code/plot.png)"})
