import json

import pytest
import sacrebleu

from aista.scoring.hypotheses import HypothesisRow, write_hypotheses
from tests.scoring.copied import Copied, Heard

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


TALK = [
    {"file": "talk.mp3", "segments": [{"start": 0.0, "end": 4.0, "text": "the red house a small boat on"}]},
    {"file": "more.mp3", "segments": [{"start": 0.5, "end": 3.0, "text": "a lake two birds sing it rains"}]},
]


@pytest.fixture
def talks(files):
    """The same translation in each format that holds a talk, in segments of a machine."""
    segments = [(each["file"], segment) for each in TALK for segment in each["segments"]]
    last = ("more.mp3", {"start": 3.0, "end": 5.0, "text": "today"})
    TALK_AND_REST = [TALK[0], {**TALK[1], "segments": [*TALK[1]["segments"], last[1]]}]
    (files / "talk.json").write_text(json.dumps(TALK_AND_REST, indent=2))
    lines = [f"{file}\t00:00:0{s['start']:.3f}\t00:00:0{s['end']:.3f}\t{s['text']}" for file, s in [*segments, last]]
    (files / "talk.txt").write_text("\n".join(lines) + "\n")
    rows = ["file\tstart\tend\ttext"]
    rows += [f"{file}\t{s['start']:.3f}\t{s['end']:.3f}\t{s['text']}" for file, s in [*segments, last]]
    (files / "talk.tsv").write_text("\n".join(rows) + "\n")
    (files / "plain.txt").write_text("\n".join(s["text"] for _, s in [*segments, last]) + "\n")
    return files


@pytest.mark.parametrize("name", ["talk.json", "talk.txt", "talk.tsv", "plain.txt"])
def test_a_talk_is_resegmented_to_the_references(aista, talks, name):
    out, reference = talks / "scores.json", ("--reference", talks / "ref.txt", "--target-language", "en")
    code, shown, _ = aista("score", talks / name, *reference, "--resegment", "--out", out)
    assert code == 0
    record = json.loads(out.read_text())
    assert record["systems"][0]["scores"]["bleu"] == pytest.approx(sacrebleu.corpus_bleu(GOOD, [REFERENCES]).score)
    assert record["signatures"]["bleu"].endswith("|reseg:words-basic")
    message = f"{name}: 3 segments of 15 words divided among 4 references with 2 edits, 0 left empty"
    assert message in " ".join(shown.split())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "talk: is empty; it must have the translation of a talk"),
        (b"\n\n", "talk: is empty; it must have the translation of a talk"),
        (b"caf\xe9\n", "talk:1: must be UTF-8, got byte 0xe9"),
        (b"a.wav\tthe red house\n", "talk:1: must be text without tabs, or what `aista translate` writes"),
        (b"[\n{}\n]\n", "must be what `aista translate --format json` writes, a list of recordings with segments"),
        (b"[\n{", "must be what `aista translate --format json` writes"),
        (b"file\tstart\tend\ttext\na.wav\t0.0\n", "talk:2: must have file, start, end and text, got 2 cells"),
    ],
)
def test_talks_that_cannot_be_read(aista, files, monkeypatch, content, message):
    monkeypatch.chdir(files)
    (files / "talk").write_bytes(content)
    code, _, err = aista("score", "talk", "--reference", "ref.txt", "--resegment", "--target-language", "en")
    assert code == 2
    assert message in " ".join(err.split())


def test_resegmenting_needs_references_and_tells_of_failed_segments(aista, talks):
    code, _, err = aista("score", talks / "talk.json", "--resegment", "--target-language", "en")
    assert code == 2
    assert "--resegment needs the segments to divide a talk into; give them with --reference FILE" in err
    TALK_FAILED = [{"file": "a", "segments": [{"text": "the red house"}, {"text": None, "problem": "too long"}]}]
    (talks / "failed.json").write_text(json.dumps(TALK_FAILED, indent=1))
    reference = ("--reference", talks / "ref.txt", "--target-language", "en")
    code, shown, _ = aista("score", talks / "failed.json", *reference, "--resegment")
    assert code == 0
    assert "3 left empty; WARNING: 1 segments were not translated" in " ".join(shown.split())


SOURCES = ["a", "b", "c", "d"]


@pytest.fixture
def copied(clean_registry, files):
    """Hypotheses of which three are their sources in capitals."""
    clean_registry.register("metric", "copied")(Copied)
    clean_registry.register("metric", "heard")(Heard)
    (files / "copies.txt").write_text("A\nB\nC\nx\n")
    (files / "talk.txt").write_text("A B\nC x\n")
    (files / "source.txt").write_text("\n".join(SOURCES) + "\n")
    lines = [f"{text}\tu{number}\t{text}.wav\n" for number, text in enumerate(SOURCES)]
    (files / "manifest.tsv").write_text("src_text\tid\taudio\n" + "".join(lines))
    rows = [HypothesisRow(f"u{3 - i}", SOURCES[3 - i], "r", SOURCES[3 - i].upper()) for i in range(4)]
    write_hypotheses(files / "hypotheses.tsv", rows)
    return files


@pytest.mark.parametrize(
    ("arguments", "score"),
    [
        (["copies.txt", "--reference", "ref.txt", "--source", "source.txt"], 75),
        (["copies.txt", "--reference", "ref.txt", "--source", "manifest.tsv"], 75),
        (["hypotheses.tsv"], 100),
        (["hypotheses.tsv", "--source", "manifest.tsv"], 100),  # by their ids, not by their order
        (["hypotheses.tsv", "--source", "source.txt"], 0),
        (["copies.txt", "--reference", "hypotheses.tsv", "--source", "hypotheses.tsv"], 0),
        (["talk.txt", "--reference", "copies.txt", "--source", "source.txt", "--resegment"], 75),
    ],
)
def test_sources_come_from_a_file_or_with_the_hypotheses(aista, copied, monkeypatch, arguments, score):
    monkeypatch.chdir(copied)
    code, _, err = aista("score", *arguments, "--metric", "copied", "--out", "out.json", "--target-language", "en")
    assert (code, err) == (0, "")
    assert json.loads((copied / "out.json").read_text())["systems"][0]["scores"] == {"copied": score}


def test_a_manifest_names_the_audio_too(aista, copied, monkeypatch):
    monkeypatch.chdir(copied)
    arguments = ("copies.txt", "--reference", "ref.txt", "--metric", "heard", "--source", "manifest.tsv")
    assert aista("score", *arguments, "--out", "out.json")[0] == 0
    assert json.loads((copied / "out.json").read_text())["systems"][0]["scores"] == {"heard": 100}
    code, _, err = aista("score", *arguments[:-1], "source.txt")
    assert code == 2
    assert "heard: needs the audio of each utterance, and 4 of 4 have none; evaluate a manifest" in " ".join(
        err.split()
    )


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (None, "copied: needs the transcript of each utterance, and 4 of 4 have none; fill the column src_text"),
        ("a\n\nb\n\n", "2 of 4 have none (first: utterance 2)"),
        ("a\nb\n", "source: has 2 transcripts for 4 references; give one for each"),
        ("", "source: is empty"),
        ("id\tsrc_text\nu0\ta\n", "source: has 1 transcripts for 4 references"),
        ("id\tsrc_text\nu0\n", "source:2: expects 2 cells, as in the header, got 1"),
    ],
)
def test_sources_that_do_not_fit(aista, copied, monkeypatch, source, message):
    monkeypatch.chdir(copied)
    arguments = ["copies.txt", "copies.txt", "--reference", "ref.txt", "--metric", "copied"]
    if source is not None:
        (copied / "source").write_text(source)
        arguments += ["--source", "source"]
    code, _, err = aista("score", *arguments)
    assert code == 2
    assert message in " ".join(err.split())


def test_ids_that_a_manifest_lacks_are_counted(aista, copied, monkeypatch):
    monkeypatch.chdir(copied)
    (copied / "part.tsv").write_text("id\tsrc_text\nu0\ta\nu9\tz\n")
    code, _, err = aista("score", "hypotheses.tsv", "--metric", "copied", "--source", "part.tsv")
    assert code == 2
    assert "part.tsv: lacks 3 of 4 utterances: u3, u2, u1; name the manifest that they are of" in " ".join(err.split())
