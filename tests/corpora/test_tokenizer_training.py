"""``aista data tokenizer``."""

from __future__ import annotations

from pathlib import Path

import pytest
from sentencepiece import SentencePieceProcessor

from aista.cli.main import main
from aista.data.manifest import Row, write_manifest
from aista.data.tokenizers.sentencepiece import SentencePieceConfig, SentencePieceTokenizer

SENTENCES = ["The cat sees the dog.", "A dog sees the Cat.", "The old house is near the river."]
TRANSLATIONS = ["Le chat voit le chien.", "Un chien voit le chat.", "La vieille maison est près de la rivière."]


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    rows = [
        Row(f"u{index}", "", 0, target, src_text=source, src_lang="en", tgt_lang="fr")
        for index, (source, target) in enumerate(zip(SENTENCES, TRANSLATIONS, strict=True))
    ]
    write_manifest(tmp_path / "train.tsv", rows)
    return tmp_path / "train.tsv"


def run(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> str:
    assert main(["data", "tokenizer", *map(str, arguments)]) == code
    captured = capsys.readouterr()
    return captured.err if code else captured.out


@pytest.mark.parametrize("kind", ["bpe", "unigram", "char"])
def test_the_model_is_what_training_needs(manifest: Path, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    out = manifest.parent / "spm.model"
    text = run(capsys, out, "--from", manifest, "--type", kind)
    assert "of 6 texts; unk 0, bos 1, eos 2, pad 3, <fr> 4" in text
    assert f"tokenizer: {{name: sentencepiece, config: {{path: {out}}}}}" in text
    tokenizer = SentencePieceTokenizer(SentencePieceConfig(path=out))
    assert tokenizer.pad_id == 3
    assert tokenizer.encode_prompt("<fr>") == [4]
    assert all(tokenizer.decode(tokenizer.encode(text)) == text for text in TRANSLATIONS)


def test_options_symbols_and_sides(manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = manifest.parent / "spm.model"
    options = ("--texts", "source", "--vocab-size", 40, "--normalization", "nmt_nfkc_cf")
    assert "40 pieces (bpe) of 3 texts" in run(
        capsys, out, "--from", manifest, *options, "--symbol", "<a>", "--symbol", "<b>"
    )
    model = SentencePieceProcessor(model_file=str(out))
    assert [model.piece_to_id(piece) for piece in ("<a>", "<b>")] == [4, 5]
    assert model.decode(model.encode("The Cat")) == "the cat"
    assert model.piece_to_id("é") == model.unk_id()


def test_recognition_has_the_language_of_its_transcripts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [Row(f"u{index}", "", 0, "", src_text=text, src_lang="en") for index, text in enumerate(SENTENCES)]
    write_manifest(tmp_path / "train.tsv", rows)
    assert "<en> 4" in run(capsys, tmp_path / "spm.model", "--from", tmp_path / "train.tsv")


def test_the_same_texts_give_the_same_model(manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.model", "b.model"):
        run(capsys, manifest.parent / name, "--from", manifest)
    assert (manifest.parent / "a.model").read_bytes() == (manifest.parent / "b.model").read_bytes()


def test_refusals(manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = manifest.parent / "spm.model"
    assert "choose another vocab_size" in run(capsys, out, "--from", manifest, "--vocab-size", 5000, code=2)
    assert "--type: expects one of" in run(capsys, out, "--from", manifest, "--type", "wordpiece", code=2)
    assert "no such manifest" in run(capsys, out, "--from", manifest.parent / "gone.tsv", code=2)
    assert not out.exists()
    run(capsys, out, "--from", manifest)
    assert "exists already; name another file, or add --overwrite" in run(capsys, out, "--from", manifest, code=2)
    run(capsys, out, "--from", manifest, "--overwrite")
    write_manifest(manifest, [Row("u", "a.wav", 1, "oui")])
    message = run(capsys, manifest.parent / "b.model", "--from", manifest, "--texts", "source", code=2)
    assert "must hold texts to train on (--texts source), got none in 1 rows" in message
