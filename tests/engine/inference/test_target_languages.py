import json

import pytest

from aista.engine.inference.translate import warn_of_new_language
from aista.run_folder.contents import RunFolder


@pytest.fixture
def run(tmp_path):
    (tmp_path / "config.yaml").write_text("{}")
    manifests = {"a.tsv": {"target_languages": ["fr"]}, "b.tsv": {"target_languages": ["de", "fr"]}, "old.tsv": {}}
    (tmp_path / "data.json").write_text(
        json.dumps({"train": manifests, "dev": {"c.tsv": {"target_languages": ["es"]}}})
    )
    return tmp_path


def test_languages_are_those_of_the_training_rows(run):
    assert RunFolder(run).target_languages() == ("de", "fr")
    (run / "data.json").unlink()
    assert RunFolder(run).target_languages() == ()


def test_a_language_that_was_not_trained_on_is_said(run, caplog):
    for code in ("fr", "de-AT", "FR", ""):
        warn_of_new_language(run, code)
    assert caplog.messages == []
    warn_of_new_language(run, "es")
    assert "--target-language es: no row that this model was trained on is in it, but in de, fr" in caplog.text


def test_an_export_keeps_no_record_of_them(tmp_path, caplog):
    warn_of_new_language(tmp_path, "es")
    assert caplog.messages == []
