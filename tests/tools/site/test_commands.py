import os

from aista.cli.verbs import SUB_VERBS, VERBS
from tools.site.commands import command_help, commands_page


def test_the_page_holds_the_help_of_every_command(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    page = commands_page()
    assert os.environ["COLUMNS"] == "40"
    for command in [*VERBS, *SUB_VERBS]:
        assert f"\n## aista {command}\n" in page
        assert f"usage: aista {command} " in page
    assert page.index("## aista data\n") < page.index("## aista data align\n") < page.index("## aista init\n")


def test_help_has_one_width(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    text = command_help("train")
    assert "COLUMNS" not in os.environ
    assert 60 < max(map(len, text.splitlines())) < 80
