from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from aista import registry
from aista.kinds import KINDS
from aista.schema import Component, component, components, option, required, section, structure


@dataclass(frozen=True, kw_only=True)
class InnerConfig:
    depth: int = option(2, "How deep.", minimum=1, maximum=8)


@dataclass(frozen=True, kw_only=True)
class ShownConfig:
    path: Path = required("Folder of the model.")
    mode: str = option("fast", "How it runs.", choices=("fast", "exact"))
    rate: float = option(0.5, "A rate.", above=0)
    limit: int | None = option(None, "A limit.")
    pair: tuple[float, float] = option((0.9, 0.98), "A pair.")
    inner: InnerConfig = section(InnerConfig, "A section.")
    groups: tuple[InnerConfig, ...] = option((), "Groups.")
    cost: Component = component("cost", "cosine", "The cost.")
    costs: tuple[Component, ...] = components("cost", "More costs.", default=("cosine",))


@pytest.fixture
def shown(clean_registry):
    @registry.register("ot_solver", "test_shown", config=ShownConfig)
    def build(config):
        """Solve it.

        Choose it for tests.
        """


def test_the_page_says_it_all(aista, shown):
    code, out, err = aista("show", "ot_solver", "test_shown")
    assert (code, err) == (0, "")
    for text in (
        "ot_solver test_shown\n",
        f"({__file__})",
        "Solve it.\n\nChoose it for tests.\n",
        "  path: Path, required\n      Folder of the model.\n",
        "  mode: str = 'fast' (one of 'fast', 'exact')\n      How it runs.\n",
        "  rate: float = 0.5 (> 0)\n",
        "  limit: int or null, none by default\n",
        "  pair: list [float, float] = [0.9, 0.98]\n",
        "  inner: InnerConfig\n      A section.\n      depth: int = 2 (>= 1, <= 8)\n          How deep.\n",
        "  groups: list of InnerConfig = []\n      Groups.\n      depth: int = 2",
        "  cost: cost component = 'cosine'\n      The cost.\n      One of: cosine, euclidean, ",
        "  costs: list of cost components = ['cosine']\n",
    ):
        assert text in out


def test_the_snippet_can_be_pasted(aista, shown):
    out = aista("show", "ot_solver", "test_shown")[1]
    node = yaml.safe_load(out.split("In a config:\n")[1])
    assert node["name"] == "test_shown"
    assert node["config"]["path"] == "REQUIRED"
    structure(ShownConfig, node["config"])


def test_a_component_without_options(aista):
    code, out, _ = aista("show", "cost", "cosine")
    assert code == 0
    assert "Options: none" in out
    assert out.endswith("In a config:\n  name: cosine\n")


def test_options_beside_a_components_name_are_shown(aista):
    out = aista("show", "task", "speech_translation")[1]
    assert "      Beside the name:\n          tuning: tuning component, none by default\n" in out
    assert "      Beside the name:\n          weight: float = 1.0 (>= 0)\n" in out


def test_a_tasks_options_stand_at_the_top_level(aista):
    out = aista("show", "task", "speech_translation")[1]
    assert "\n  task: speech_translation\n  encoder: conformer\n" in out


def test_every_component_has_a_page(aista):
    for kind in KINDS:
        for name in registry.names(kind):
            code, out, err = aista("show", kind, name)
            assert (code, err) == (0, ""), f"{kind}/{name}"
            assert yaml.safe_load(out.split("In a config:\n")[1])


def test_a_plugins_page(aista, plugin):
    code, out, _ = aista("show", "cost", "test_chebyshev", "--plugin", plugin)
    assert code == 0
    assert f"({plugin})" in out
    assert "  scale: float = 1.0 (> 0)\n      Factor of the distance.\n" in out


def test_an_unknown_name(aista):
    code, _, err = aista("show", "cost", "cosin")
    assert code == 2
    assert err.startswith("aista: unknown cost 'cosin' (did you mean 'cosine'?); known: cosine, euclidean")


@pytest.mark.parametrize("section", ["data", "trainer", "evaluation", "initialize", "pretraining"])
def test_a_sections_page(aista, section):
    assert section not in KINDS
    code, out, err = aista("show", section)
    assert (code, err) == (0, "")
    assert out.startswith(f"{section}, a section of configs: ")
    node = yaml.safe_load(out.split("In a config:\n")[1])
    assert list(node) == [section]


def test_the_trainers_page(aista):
    out = aista("show", "trainer")[1]
    assert "  max_steps: int = 1000 (>= 1)\n      Optimiser steps.\n" in out
    assert "\n    max_steps: 1000\n" in out


def test_no_section(aista):
    assert aista("show", "traner") == (
        2,
        "",
        "aista: 'traner' is not a section of a config (did you mean 'trainer'?); sections: data, trainer, evaluation, "
        "initialize, pretraining; `aista list` names the kinds of components\n",
    )
    assert "aista: show cost: name one of its components: cosine, euclidean" in aista("show", "cost")[2]
