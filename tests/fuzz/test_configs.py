"""Configs by their declarations: an experiment, or an error that says what is wrong."""

import contextlib
import dataclasses
import typing

import pytest
import torch
import yaml
from hypothesis import strategies as st

from aista import registry, schema
from aista.config import merge
from aista.errors import AistaError, ConfigError
from aista.kinds import KINDS
from aista.runs.ablation.plan import load_ablation
from aista.runs.ablation.variants import AblationConfig
from aista.schema import Component, resolve
from aista.tasks.experiment import Sections, load_experiment
from aista.tasks.preflight import preflight
from tests.fuzz import fuzzed
from tests.fuzz.options import JUNK, components, mappings
from tests.tiny import make_corpus, tiny_config

pytestmark = pytest.mark.usefixtures("all_imported")
DEPENDENCIES = {
    "target_language": "fr",
    "input_dim": 16,
    "output_dim": 16,
    "feature_dim": 80,
    "vocab_size": 40,
    "num_layers": 4,
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return make_corpus(tmp_path_factory.mktemp("corpus") / "corpus", 2, 2)


def counts(cls):
    """The whole-number options of a dataclass that take no maximum, those of its sections too."""
    hints = schema._hints(cls)
    for field in dataclasses.fields(cls):
        hint = hints[field.name]
        if dataclasses.is_dataclass(hint) and "kind" not in field.metadata:
            yield from counts(hint)
        elif int in (hint, *typing.get_args(hint)) and "maximum" not in field.metadata:
            yield field.name


@pytest.mark.parametrize(
    "kind", ["encoder", "adapter", "llm", "tuning", "feature", "augmentation", "dataset", "metric"]
)
def test_what_is_built_has_sizes_with_a_maximum(kind):
    free = {"layers", "seed", "top_k", "subsampling", "num_mels"}  # chosen from what there is, or from a few values
    for entry in registry.entries(kind):
        assert set(counts(entry.config)) <= free if entry.config else True, entry.name


def test_an_absurd_size_is_refused_before_anything_is_built(folder, corpus):
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(tiny_config(corpus)))
    with pytest.raises(ConfigError, match=r"llm\.config\.num_layers: must be at most 500, got 1000000000"):
        load_experiment(file, ["llm.config.num_layers=1000000000"])


@st.composite
def named(draw):
    kind = draw(st.sampled_from(sorted(KINDS)))
    return kind, draw(components(kind))


@fuzzed(examples=300, node=named())
def test_a_component_is_built_or_refused(node):
    kind, data = node
    with contextlib.suppress(AistaError):
        spec = resolve(kind, data)
        if kind in ("task", "dataset", "encoder_cache"):
            return
        with torch.device("meta") if kind in ("encoder", "adapter", "llm") else contextlib.nullcontext():
            registry.build(kind, spec, **DEPENDENCIES)


@st.composite
def keywords(draw):
    kind = draw(st.sampled_from(sorted(KINDS)))
    entries = [entry for entry in registry.entries(kind) if entry.config is not None]
    cls = draw(st.sampled_from(entries)).config if entries else Component
    return cls, draw(mappings(cls))


@fuzzed(examples=200, call=keywords())
def test_options_are_made_in_python_or_refused(call):
    cls, values = call
    names = {field.name for field in dataclasses.fields(cls)}
    with contextlib.suppress(ValueError):
        cls(**{name: value for name, value in values.items() if name in names})


@st.composite
def experiments(draw):
    task = draw(st.sampled_from(registry.names("task")))
    own, shared = (draw(mappings(cls, most=3)) for cls in (registry.get("task", task).config, Sections))
    return shared | own | ({"task": task} if draw(st.booleans()) else {})


def load(folder, raw, overrides=()):
    file = folder / "config.yaml"
    file.write_text(raw if isinstance(raw, str) else yaml.safe_dump(raw), encoding="utf-8")
    with contextlib.suppress(AistaError):
        preflight(load_experiment(file, overrides), with_data=False)


@fuzzed(examples=150, changes=experiments(), as_overlay=st.booleans())
def test_a_config_is_an_experiment_or_refused(changes, as_overlay, folder, corpus):
    base = tiny_config(corpus)
    load(folder, merge(base, changes) if as_overlay else base | changes)


@st.composite
def edits(draw):
    """Places of a text and what is put there in place of some characters."""
    pieces = st.text(max_size=5) | st.sampled_from(
        [
            "&a ",
            "*a",
            "<<: ",
            "[",
            "]",
            "{",
            "}",
            "!!",
            "- ",
            "? ",
            "\n",
            "\t",
            ": ",
            "#",
            "|",
            ">",
            "'",
            '"',
            "%",
            "---\n",
        ]
    )
    return draw(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 20), pieces), min_size=1, max_size=4))


@fuzzed(examples=100, changes=edits())
def test_an_edited_text_is_read_or_refused(changes, folder, corpus):
    text = yaml.safe_dump(tiny_config(corpus))
    for place, length, piece in changes:
        start = int(place * len(text))
        text = text[:start] + piece + text[start + length :]
    load(folder, text)


KEYS = st.sampled_from(
    [
        "trainer",
        "encoder",
        "name",
        "config",
        "alignment[0]",
        "alignment[1]",
        "data",
        "llm",
        "tuning",
        "seed",
        "x",
        "[0]",
        "",
    ]
)
TEXTS = JUNK.filter(lambda value: not isinstance(value, int) or abs(value) < 2**99).map(str) | st.text(max_size=10)


@fuzzed(examples=100, overrides=st.lists(st.tuples(st.lists(KEYS, max_size=4).map(".".join), TEXTS), max_size=3))
def test_overrides_are_applied_or_refused(overrides, folder, corpus):
    load(folder, tiny_config(corpus), [f"{key}={value}" for key, value in overrides])


@fuzzed(examples=60, data=mappings(AblationConfig, most=5), is_based=st.booleans())
def test_an_ablation_is_planned_or_refused(data, is_based, folder, corpus):
    (folder / "base.yaml").write_text(yaml.safe_dump(tiny_config(corpus)))
    file = folder / "ablation.yaml"
    file.write_text(yaml.safe_dump(data | ({"base": "base.yaml"} if is_based else {})), encoding="utf-8")
    with contextlib.suppress(AistaError):
        load_ablation(file, folder / "out")
