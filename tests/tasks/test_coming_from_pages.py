"""The configs of docs/coming_from are experiments of this version."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from aista.config import dump_yaml, load_yaml, merge
from aista.shipped import find_config
from aista.tasks.experiment import load_experiment

PAGES = sorted((Path(__file__).parents[2] / "docs" / "coming_from").glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_config_is_one(page, tmp_path):
    config = yaml.safe_load(page.read_text(encoding="utf-8").split("```yaml\n")[1].split("```")[0])
    if list(config) == ["pretraining"]:
        config = merge(load_yaml(find_config("contrastive_mustc_de")), config)
    file = tmp_path / "config.yaml"
    file.write_text(dump_yaml(config), encoding="utf-8")
    experiment = load_experiment(file)
    assert experiment.task_config.llm.name in page.read_text(encoding="utf-8")
    for stage in experiment.sections.pretraining:
        assert experiment.stage(stage).sections.task == stage.task
