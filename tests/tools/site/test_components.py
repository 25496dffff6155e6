from dataclasses import dataclass

import pytest

from aista import registry
from aista.schema import Options, option
from tools.site import components
from tools.site.components import undocumented


@dataclass(frozen=True, kw_only=True)
class SilentConfig(Options):
    rate: float = option(0.5, "")


@pytest.fixture
def silent(clean_registry):
    @registry.register("cost", "test_silent", config=SilentConfig)
    def build(config):
        pass

    return registry.get("cost", "test_silent")


def test_what_is_missing_is_named(silent):
    docstring, meaning = undocumented([silent])
    assert docstring.startswith("cost test_silent (")
    assert docstring.endswith("no docstring")
    assert meaning == "cost test_silent: option rate has no meaning"


def test_a_docstring_says_when_to_choose_the_component(silent):
    silent.factory.__doc__ = "A cost."
    assert undocumented([silent])[0].endswith("its docstring does not say when to choose it")
    silent.factory.__doc__ = "A cost.\n\nChoose it for tests."
    assert len(undocumented([silent])) == 1


def test_a_component_without_documentation_fails_the_build(silent, monkeypatch):
    monkeypatch.setattr(components, "built_in", lambda kind: [silent] if kind == "cost" else [])
    with pytest.raises(ValueError, match="test_silent"):
        components.component_pages()
