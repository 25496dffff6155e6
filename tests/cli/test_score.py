import json

import pytest
import sacrebleu

from aista.scoring.hypotheses import HypothesisRow, write_hypotheses

REFERENCES = ["the red house", "a small boat on the lake", "two birds sing", "it rains again today"]
GOOD = ["the red house", "a small boat on a lake", "two birds sing", "it rains today"]
BAD = ["a house", "boat lake", "", "today it rains again"]


@pytest.fixture
def files(tmp_path):
    for name, texts in {"ref": REFERENCES, "good": GOOD, "bad": BAD}.items():
        (tmp_path / f"{name}.txt").write_text("\n".join(texts) + "\n")
    return tmp_path


def test_scores_are_those_of_sacrebleu(aista, files):
    out = files / "scores.json"
    metrics = ("--metric", "bleu", "--metric", "{name: chrf, config: {word_order: 2}}", "--metric", "ter")
    reference = ("--reference", files / "ref.txt", "--target-language", "en")
    code, shown, _ = aista("score", files / "bad.txt", files / "good.txt", *reference, *metrics, "--out", out)
    assert code == 0
    record = json.loads(out.read_text())
    bad, good = record["systems"]
    for system, texts in ((bad, BAD), (good, GOOD)):
        expected = sacrebleu.corpus_bleu(texts, [REFERENCES]).score
        assert system["scores"]["bleu"] == pytest.approx(expected, abs=1e-9)
        assert system["scores"]["chrf"] == pytest.approx(
            sacrebleu.corpus_chrf(texts, [REFERENCES], word_order=2).score, abs=1e-9
        )
        assert system["scores"]["ter"] == pytest.approx(sacrebleu.corpus_ter(texts, [REFERENCES]).score, abs=1e-9)
    assert bad["difference"] is None
    assert good["difference"] == pytest.approx(good["scores"]["bleu"] - bad["scores"]["bleu"])
    assert record["signatures"]["bleu"].startswith("nrefs:1|case:mixed|eff:no|tok:13a")
    assert "bad.txt: 1 of 4 texts are empty; they are scored as such" in shown
    assert "Training" not in shown


def test_a_hypotheses_file_brings_its_references(aista, tmp_path):
    rows = [HypothesisRow(str(i), "", *pair) for i, pair in enumerate(zip(REFERENCES, GOOD, strict=True))]
    write_hypotheses(tmp_path / "hypotheses.tsv", rows)
    code, shown, _ = aista("score", tmp_path / "hypotheses.tsv", "--target-language", "en")
    assert code == 0
    assert f"{sacrebleu.corpus_bleu(GOOD, [REFERENCES]).score:.1f}" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["good.txt"], "good.txt: holds no references; give them with --reference FILE, one in each line"),
        (["no.txt", "--reference", "ref.txt"], "no.txt: no such file; give a text file with an utterance in each line"),
        (["short.txt", "--reference", "ref.txt"], "short.txt: has 1 texts for 4 references; give one for each"),
        (["empty.txt", "--reference", "ref.txt"], "empty.txt: is empty; it must have an utterance in each line"),
        (["good.txt", "--reference", "ref.txt", "--metric", "blue"], "(did you mean 'bleu'?)"),
        (["good.txt", "--reference", "ref.txt", "--metric", "{name: bleu"], "metric"),
    ],
)
def test_mistakes(aista, files, monkeypatch, arguments, message):
    monkeypatch.chdir(files)
    (files / "short.txt").write_text("one\n")
    (files / "empty.txt").write_text("")
    code, _, err = aista("score", *arguments, "--target-language", "en")
    assert code == 2
    assert message in err


def test_the_target_language_is_asked_for(aista, files):
    code, _, err = aista("score", files / "good.txt", "--reference", files / "ref.txt")
    assert code == 2
    assert "target language" in err
