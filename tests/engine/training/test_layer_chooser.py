"""The chooser alone: when it chooses, what it writes, what it reads back."""

import json
from types import SimpleNamespace

import pytest

from aista.engine.training.layer_chooser import LayerChooser
from aista.errors import RunError
from aista.run_folder.layer_choices import read_choices
from aista.selection.base import LayerSelection, SelectedLayers


class Counting(LayerSelection):
    """Takes the next layer each time; a function of the current choice alone."""

    warmup_steps = 2
    every = 3

    def select(self, curve):
        return SelectedLayers((0,), (1.0,), "first")

    def reselect(self, curve, current):
        return SelectedLayers((current.layers[0] + 1,), (1.0,), "next")


def run(file, steps, selection=None):
    """The layers before each step, as a fresh (or resumed) process sees them."""
    task = SimpleNamespace(
        alignment=SimpleNamespace(terms=[1]),
        selected=None,
        config=SimpleNamespace(layer_selection=SimpleNamespace(name="counting")),
    )
    chooser = LayerChooser(task, selection or Counting(), file, list, writes=True)
    if steps[0] > 1:
        chooser.restore(steps[0] - 1)
    seen = []
    for step in steps:
        chooser.before_step(step, None)
        seen.append(task.selected.layers[0] if task.selected else None)
    return seen


def test_choices_come_after_the_warm_up_and_then_at_their_interval(tmp_path):
    assert run(tmp_path / "s.json", range(1, 10)) == [None, None, 0, 0, 0, 1, 1, 1, 2]
    data = json.loads((tmp_path / "s.json").read_text())
    assert [choice["step"] for choice in data["choices"]] == [2, 5, 8]
    assert (data["step"], data["layers"], data["strategy"]) == (8, [2], "counting")
    assert read_choices(tmp_path / "s.json")[-1].layers == (2,)


@pytest.mark.parametrize("resumed", range(1, 10))
def test_a_resumed_run_goes_on_from_the_choices_before_its_checkpoint(tmp_path, resumed):
    whole = run(tmp_path / "s.json", range(1, 10))
    content = (tmp_path / "s.json").read_text()
    assert run(tmp_path / "s.json", range(resumed, 10)) == whole[resumed - 1 :]
    assert (tmp_path / "s.json").read_text() == content


def test_a_single_choice_has_no_history(tmp_path):
    once = Counting()
    once.every = 0
    assert run(tmp_path / "s.json", range(1, 10), once)[2:] == [0] * 7
    assert "choices" not in json.loads((tmp_path / "s.json").read_text())
    assert run(tmp_path / "s.json", [7], once) == [0]


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"step": 2, "layers": [0]}', '{"choices": []}'])
def test_a_damaged_file_is_named(tmp_path, content):
    (tmp_path / "s.json").write_text(content)
    with pytest.raises(RunError, match=r"s\.json: cannot read the layer selection"):
        run(tmp_path / "s.json", [5])


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(RunError, match="restore it, or train again"):
        run(tmp_path / "s.json", [5])
