"""Alignment alone on rows without a translation: it trains, validates by its loss, and scores what can be scored."""

import json
from dataclasses import replace

import pytest

from aista.data.manifest import read_manifest, write_manifest
from aista.engine.inference.evaluate import evaluate
from aista.engine.training.train import train
from aista.errors import DataError
from aista.tasks.experiment import load_experiment
from tests.tiny import tiny_config, write_config


@pytest.fixture
def run(tmp_path, corpus):
    """Trains on alignment alone, with these numbers of translated rows; returns the run and its last validation."""

    def run(train_rows, dev_rows):
        data = tiny_config(corpus)["data"]
        for split, keep in (("train", train_rows), ("dev", dev_rows)):
            rows = (replace(row, audio=str(corpus / row.audio)) for row in read_manifest(corpus / f"{split}.tsv").rows)
            data[split] = str(tmp_path / f"{split}.tsv")
            write_manifest(
                tmp_path / f"{split}.tsv",
                (replace(row, tgt_text=row.tgt_text * (i < keep)) for i, row in enumerate(rows)),
            )
        steps = {"max_steps": 6, "learning_rate": 1e-2, "log_every": 2, "validate_every": 2, "checkpoint_every": 2}
        config = tiny_config(
            corpus,
            data=data,
            translation_weight=0,
            trainer=steps | {"keep_best": 1},
            evaluation={"score": "loss", "generation": {"beam_size": 1, "max_new_tokens": 5}},
        )
        folder = tmp_path / "run"
        train(load_experiment(write_config(tmp_path / "config.yaml", config)), folder)
        records = (folder / "metrics" / "valid.jsonl").read_text().splitlines()
        return folder, [json.loads(record) for record in records]

    return run


def test_it_trains_and_validates_by_its_loss(run):
    folder, records = run(0, 0)
    assert [record["step"] for record in records] == [2, 4, 6]
    assert records[-1]["loss"] < records[0]["loss"]
    assert records[-1]["score"] == -records[-1]["loss"]
    assert not {"nll", "bleu", "chrf"} & records[-1].keys()
    with pytest.raises(DataError, match="empty target: 8"):
        evaluate(folder, "dev")
    assert len(evaluate(folder, "test").rows) == 8


def test_rows_with_and_without_mix(run):
    _, records = run(12, 3)
    assert records[-1]["loss"] < records[0]["loss"]
    assert {"nll", "bleu", "chrf"} <= records[-1].keys()
