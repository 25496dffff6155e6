from __future__ import annotations

from pathlib import Path

import pytest

from aista.data.data_config import DataConfig
from aista.errors import ConfigError
from aista.plain import to_plain
from aista.schema import structure


def test_defaults_and_components() -> None:
    config = structure(DataConfig, {"train": "a/train.tsv", "text": ["b.tsv"], "augmentation": "spec_augment"})
    assert (config.train, config.dev, config.text) == (Path("a/train.tsv"), None, (Path("b.tsv"),))
    assert (config.feature.name, config.feature.config.num_mels) == ("log_mel", 80)
    assert config.augmentation is not None
    assert config.augmentation.name == "spec_augment"
    assert structure(DataConfig, to_plain(config)) == config


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_seconds": 9, "max_seconds": 3}, "min_seconds must not exceed max_seconds, got 9.0 and 3.0"),
        ({"max_batch_seconds": 9}, "max_batch_seconds must hold one utterance of max_seconds, got 9.0 and 30.0"),
        ({"cache_features": True, "num_workers": 2}, "got num_workers 2; set num_workers: 0 or cache_features: false"),
        ({"on_bad_rows": "ignore"}, "data.on_bad_rows: expects one of 'error', 'drop', got 'ignore'"),
        ({"batch_size": 0}, "data.batch_size: must be at least 1, got 0"),
        ({"shuffle_transcripts": True, "tasks": ["st", "asr"]}, "got tasks st, asr; set tasks: [st], or"),
        ({"cot_marker": " "}, "must be visible, got ' '; write for example ||"),
        ({"mix": {"by": "task"}}, "mix by task needs tasks, got none; set data.tasks"),
        ({"feature": "logmel"}, "data.feature.name: unknown feature 'logmel' (did you mean 'log_mel'?)"),
    ],
)
def test_faults_name_their_place_and_remedy(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        structure(DataConfig, options, at="data")
    assert message in str(caught.value)
