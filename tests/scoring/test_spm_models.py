"""BLEU over the pieces of a SentencePiece model: where the model lies, and what is said where it cannot."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import sacrebleu
import sentencepiece
from sacrebleu import utils
from sacrebleu.tokenizers import tokenizer_spm

from aista.scoring.spm_models import require_model
from tests.scoring.helpers import corpus, make


@pytest.fixture(scope="module")
def model() -> bytes:
    """A small SentencePiece model, in place of those that sacrebleu downloads."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus([], size=200)[0]), model_writer=model, vocab_size=30, minloglevel=2
    )
    return model.getvalue()


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder where sacrebleu looks for models; nothing can be downloaded."""
    for module in (utils, tokenizer_spm):
        monkeypatch.setattr(module, "SACREBLEU_DIR", str(tmp_path))
    for name, entry in tokenizer_spm.SPM_MODELS.items():
        monkeypatch.setitem(entry, "url", f"file://{tmp_path}/site/{name}.model")
    return tmp_path / "models"


@pytest.mark.parametrize("tokenize", ["flores101", "flores200"])
def test_a_model_that_is_there_is_used(tokenize: str, models: Path, model: bytes) -> None:
    models.mkdir()
    (models / f"{tokenize}.model").write_bytes(model)
    references, (hypotheses,) = corpus([0.3])
    score = make("bleu", tokenize=tokenize).score(hypotheses, references)
    assert score.value == pytest.approx(sacrebleu.corpus_bleu(hypotheses, [references], tokenize=tokenize).score)
    assert f"tok:{tokenize}|" in score.signature
    assert score.value != pytest.approx(make("bleu").score(hypotheses, references).value)


def test_a_missing_model_is_downloaded_once(models: Path, model: bytes) -> None:
    site = models.parent / "site" / "flores200.model"
    site.parent.mkdir()
    site.write_bytes(model)
    assert require_model("flores200").read_bytes() == model
    site.unlink()
    assert require_model("flores200").read_bytes() == model
    assert [path.name for path in models.iterdir()] == ["flores200.model"]


def test_without_a_network_the_place_of_the_file_is_said(models: Path) -> None:
    place = rf"needs the model {models}/flores200\.model, which is missing and cannot be downloaded .*SACREBLEU"
    with pytest.raises(ValueError, match=place):
        make("bleu", tokenize="flores200")
    assert not models.exists()


def test_what_is_no_model_is_not_stored(models: Path) -> None:
    site = models.parent / "site" / "flores200.model"
    site.parent.mkdir()
    site.write_bytes(b"<html>Log in to this network</html>")
    with pytest.raises(
        ValueError, match=rf"what file:.* answered, .* is not a SentencePiece model \(35 bytes\).*{models}"
    ):
        require_model("flores200")
    assert not models.exists()


def test_a_damaged_model_is_named(models: Path, model: bytes) -> None:
    models.mkdir()
    (models / "flores200.model").write_bytes(model[:100])
    with pytest.raises(ValueError, match=rf"{models}/flores200\.model, .* is not a SentencePiece model .*remove it"):
        require_model("flores200")
