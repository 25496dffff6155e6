"""One corpus as manifests, as a dataset of Hugging Face, as a Lhotse Shar: the same training and translations."""

from __future__ import annotations

from pathlib import Path

import pytest

from aista.cli.main import main
from aista.data.manifest import read_manifest
from tests.engine.training.processes import in_processes
from tests.engine.training.test_resume import losses, scores
from tests.tiny import tiny_config, write_config

datasets = pytest.importorskip("datasets")
pytestmark = pytest.mark.slow

SPLITS = ("train", "dev", "test")


def save_for_hugging_face(corpus, folder):
    """The corpus's splits, recordings included, as ``datasets`` saves them."""
    import pyarrow as pa

    text = datasets.Value("string")
    names = ("id", "src_text", "tgt_text", "src_lang", "tgt_lang", "speaker")
    features = datasets.Features({"audio": datasets.Audio(), **dict.fromkeys(names, text)})
    splits = {}
    for split in SPLITS:
        rows = list(read_manifest(corpus / f"{split}.tsv").rows)
        audio = [{"bytes": (corpus / Path(row.audio)).read_bytes(), "path": row.audio} for row in rows]
        columns = {"audio": audio, **{name: [getattr(row, name) for row in rows] for name in names}}
        table = datasets.table.InMemoryTable(pa.table(columns, schema=features.arrow_schema))
        splits[split] = datasets.Dataset(table, info=datasets.DatasetInfo(features=features))
    datasets.DatasetDict(splits).save_to_disk(str(folder))


def test_the_same_experiment_from_three_sources(tmp_path, corpus):
    save_for_hugging_face(corpus, tmp_path / "saved")
    assert main(["data", "import", str(tmp_path / "imported"), "--from", str(tmp_path / "saved")]) == 0
    shards = tmp_path / "shards"
    assert main(["data", "shar", str(corpus / "train.tsv"), str(shards), "--shard-rows", "8"]) == 0

    trainer = {"max_steps": 12, "learning_rate": 3e-3, "log_every": 3, "validate_every": 12}
    config = write_config(tmp_path / "config.yaml", tiny_config(corpus, trainer=trainer))
    imported = [f"data.{split}={tmp_path / 'imported' / split}.tsv" for split in SPLITS]
    streamed = [f"data.stream={{name: shar, config: {{path: {shards}, shards_at_once: 3}}}}", "data.train=null"]
    for name, overrides in {"tsv": (), "hugging_face": imported, "shar": streamed}.items():
        in_processes(1, config, tmp_path / name, *overrides)
        assert main(["evaluate", str(tmp_path / name)]) == 0

    hypotheses = {
        name: (tmp_path / name / "evaluation" / "test" / "hypotheses.tsv").read_text()
        for name in ("tsv", "hugging_face", "shar")
    }
    for name in ("hugging_face", "shar"):
        assert losses(tmp_path / name) == losses(tmp_path / "tsv")
        assert scores(tmp_path / name) == scores(tmp_path / "tsv")
        assert hypotheses[name] == hypotheses["tsv"]
