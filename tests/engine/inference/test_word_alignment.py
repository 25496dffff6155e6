"""``aista data align``: with a run that learnt tones, with a Hugging Face folder, and rows that cannot be aligned."""

import json
from dataclasses import replace

import pytest

from aista.cli.main import main
from aista.data.manifest import read_manifest, write_manifest
from aista.data.word_times import parse_word_times
from aista.modules.ctc_model import CtcModel
from tests.modules.test_hf_ctc import make_ctc_folder
from tests.tiny import make_corpus, tiny_config, write_config

pytestmark = pytest.mark.slow  # a run is trained


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return make_corpus(tmp_path_factory.mktemp("tones") / "corpus", num_train=64)


@pytest.fixture(scope="module")
def run(corpus, tmp_path_factory):
    """A CTC run that tells the tones apart."""
    folder = tmp_path_factory.mktemp("ctc")
    config = tiny_config(corpus)
    config = {key: config[key] for key in ("tokenizer", "data", "encoder")} | {
        "task": "ctc_asr",
        "trainer": {"max_steps": 150, "learning_rate": 1e-2, "warmup_steps": 10, "log_every": 150},
    }
    config["data"]["cache_features"] = True
    config["encoder"]["config"] |= {"subsampling": 2, "dropout": 0.0}
    assert main(["train", str(folder / "run"), "--config", str(write_config(folder / "config.yaml", config))]) == 0
    return folder / "run"


def align(manifest, out, encoder, *options):
    return main(["data", "align", str(manifest), str(out), "--encoder", str(encoder), *options])


def times(path):
    return {row.id: row.word_times for row in read_manifest(path).rows}


@pytest.fixture
def bare(corpus, tmp_path):
    """The dev manifest without word times, in a folder of its own."""
    rows = [
        replace(row, word_times="", audio=str(corpus / row.audio)) for row in read_manifest(corpus / "dev.tsv").rows
    ]
    write_manifest(tmp_path / "dev.tsv", rows)
    return tmp_path / "dev.tsv"


def test_words_are_found_where_they_are_spoken(run, bare, corpus, tmp_path, capsys):
    out = tmp_path / "out" / "dev.tsv"
    assert align(bare, out, run, "--compare", str(corpus / "dev.tsv")) == 0
    printed = capsys.readouterr().out
    assert f"{out}: 8 of 8 rows aligned" in printed
    assert "confidence of the words (quantiles): 5 %" in printed
    assert "words compared (0 timed only here" in printed
    true = times(corpus / "dev.tsv")
    errors = [
        abs(side - wanted)
        for id, text in times(out).items()
        for own, reference in zip(parse_word_times(text), parse_word_times(true[id]), strict=True)
        if own is not None
        for side, wanted in zip(own, reference, strict=True)
    ]
    assert len(errors) > 20
    assert sorted(errors)[len(errors) // 2] <= 0.04
    assert main(["data", "check", str(out)]) == 0


def test_a_shift_moves_the_times_but_not_beyond_the_recording(run, bare, tmp_path):
    assert align(bare, tmp_path / "0.tsv", run, "--min-confidence", "0") == 0
    assert align(bare, tmp_path / "shifted.tsv", run, "--min-confidence", "0", "--shift", "0.02") == 0
    before, after = (parse_word_times(_joined(tmp_path / name)) for name in ("0.tsv", "shifted.tsv"))
    assert all(
        new[0] == pytest.approx(max(0.0, old[0] - 0.02), abs=2e-3) for old, new in zip(before, after, strict=True)
    )


def test_the_batch_size_changes_nothing(run, bare, tmp_path):
    for size in ("1", "3", "8"):
        assert align(bare, tmp_path / f"{size}.tsv", run, "--batch-size", size) == 0
    assert times(tmp_path / "1.tsv") == times(tmp_path / "3.tsv") == times(tmp_path / "8.tsv")


def test_rows_and_words_without_a_time_are_counted_with_examples(run, bare, tmp_path, capsys):
    rows = read_manifest(bare).rows
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    changed = [
        replace(rows[0], src_text=f"ωψ {rows[0].src_text}"),
        replace(rows[1], src_text=""),
        replace(rows[2], audio="", n_frames=0),
        replace(rows[3], audio="absent.wav"),
        replace(rows[4], audio="broken.wav"),
        replace(rows[5], src_text=" ".join(["one"] * 60)),
        replace(rows[6], src_lang="de"),
        replace(rows[7], src_text=f"{rows[7].src_text}ω"),
    ]
    write_manifest(bare, changed)
    assert align(bare, tmp_path / "out.tsv", run, "--min-confidence", "0") == 0
    printed = capsys.readouterr().out
    for line in (
        "3 of 8 rows aligned",
        "1 rows not aligned: no transcript",
        "1 rows not aligned: no audio",
        "1 rows not aligned: missing file",
        "1 rows not aligned: undecodable",
        "1 words left empty: no letter or digit of it is in the model's vocabulary\n    dev0: ωψ",
        "60 words left empty: fewer frames than its row's tokens need",
        "... and 55 more",
        "1 words timed by a part of their letters: the others are not in the vocabulary\n    dev7: ",
    ):
        assert line in printed
    written = times(tmp_path / "out.tsv")
    assert written["dev0"].startswith("- 0.")
    assert not any(written[f"dev{index}"] for index in range(1, 6))


def test_words_below_the_confidence_are_left_empty(run, bare, tmp_path, capsys):
    assert align(bare, tmp_path / "all.tsv", run, "--min-confidence", "0") == 0
    assert align(bare, tmp_path / "sure.tsv", run, "--min-confidence", "0.9") == 0
    assert "words left empty: confidence below --min-confidence" in capsys.readouterr().out
    everything, sure = (
        [*parse_word_times(text)] for text in map(_joined, (tmp_path / "all.tsv", tmp_path / "sure.tsv"))
    )
    assert None not in everything
    assert 0 < sure.count(None) < len(sure)
    assert all(own in (None, other) for own, other in zip(sure, everything, strict=True))


def _joined(path):
    """All word times of a manifest, rows without any filled up."""
    return " ".join(row.word_times or " ".join("-" for _ in row.src_text.split()) for row in read_manifest(path).rows)


def test_times_that_are_there_are_kept_or_replaced_only_when_asked(run, corpus, bare, tmp_path, capsys):
    rows = read_manifest(bare).rows
    first = replace(rows[0], word_times=" ".join(["0.001-0.002"] * len(rows[0].src_text.split())))
    write_manifest(bare, [first, *rows[1:]])
    assert align(bare, tmp_path / "out.tsv", run) == 2
    assert "1 of 8 rows have word_times already, e.g. dev0; --existing keep" in capsys.readouterr().err
    assert align(bare, tmp_path / "kept.tsv", run, "--existing", "keep") == 0
    assert "1 rows not aligned: word times kept" in capsys.readouterr().out
    assert align(bare, tmp_path / "new.tsv", run, "--existing", "replace") == 0
    kept, new = times(tmp_path / "kept.tsv"), times(tmp_path / "new.tsv")
    assert kept["dev0"] == first.word_times != new["dev0"]
    assert {**kept, "dev0": ""} == {**new, "dev0": ""}
    assert align(tmp_path / "kept.tsv", tmp_path / "again.tsv", run, "--existing", "keep") == 0
    assert "8 rows not aligned: word times kept" in capsys.readouterr().out
    assert times(tmp_path / "again.tsv") == kept


def test_a_file_is_replaced_only_when_asked(run, bare, tmp_path, capsys):
    (tmp_path / "out.tsv").write_text("precious")
    assert align(bare, tmp_path / "out.tsv", run) == 2
    assert "out.tsv: exists already; name another file, or add --overwrite" in capsys.readouterr().err
    assert (tmp_path / "out.tsv").read_text() == "precious"
    assert align(bare, tmp_path, tmp_path / "no model", "--overwrite") == 2, "refused before the model is opened"
    assert f"{tmp_path}: must be the file of the new manifest, got a folder" in capsys.readouterr().err
    assert align(bare, bare, run, "--overwrite") == 0
    assert any(times(bare).values())


def test_a_folder_of_hugging_face_aligns(bare, tmp_path, capsys):
    vocabulary = {"<pad>": 0, "|": 4} | {letter: 5 + index for index, letter in enumerate("ETOND")}
    _, folder = make_ctc_folder(tmp_path / "model", vocabulary=vocabulary)
    assert align(bare, tmp_path / "out.tsv", folder, "--min-confidence", "0") == 0
    printed = capsys.readouterr().out
    assert "8 of 8 rows aligned" in printed
    assert "words timed by a part of their letters" in printed
    assert main(["data", "check", str(tmp_path / "out.tsv")]) == 0


def test_what_cannot_align_is_named(run, corpus, bare, tmp_path, capsys):
    assert align(bare, tmp_path / "out.tsv", tmp_path / "nothing") == 1
    assert "neither a run folder nor a Hugging Face folder" in capsys.readouterr().err
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text(json.dumps({"model_type": "whisper", "architectures": ["Whisper"]}))
    assert align(bare, tmp_path / "out.tsv", tmp_path / "model") == 1
    assert "--encoder: " in capsys.readouterr().err
    speech = tiny_config(corpus, alignment=[], trainer={"max_steps": 1})
    assert main(["train", str(tmp_path / "st"), "--config", str(write_config(tmp_path / "st.yaml", speech))]) == 0
    assert align(bare, tmp_path / "out.tsv", tmp_path / "st") == 1
    assert "word times need a run of the task ctc_asr, got speech_translation" in capsys.readouterr().err


def test_nothing_is_written_where_no_word_has_a_time(run, bare, tmp_path, capsys):
    assert align(bare, tmp_path / "out.tsv", run, "--max-seconds", "0.1") == 2
    assert "8 rows not aligned: too long; --max-seconds takes longer ones" in capsys.readouterr().err
    write_manifest(bare, [replace(row, src_text="") for row in read_manifest(bare).rows])
    assert align(bare, tmp_path / "out.tsv", run) == 2
    printed = capsys.readouterr().err
    assert printed.startswith(f"aista: {bare}: no word got a time, and nothing was written; fix")
    assert "8 rows not aligned: no transcript" in printed
    assert not (tmp_path / "out.tsv").exists()


def test_outputs_that_are_no_numbers_are_not_taken_for_short_recordings(run, bare, tmp_path, monkeypatch, capsys):
    log_probs = CtcModel.log_probs

    def broken(self, *args, **options):
        values, lengths = log_probs(self, *args, **options)
        return values * float("nan"), lengths

    monkeypatch.setattr(CtcModel, "log_probs", broken)
    assert align(bare, tmp_path / "out.tsv", run) == 1
    assert "--encoder: the model's outputs must be numbers, got NaN for dev" in capsys.readouterr().err
    assert not (tmp_path / "out.tsv").exists()


def test_a_reference_must_hold_the_same_transcripts(run, bare, corpus, tmp_path, capsys):
    assert align(bare, tmp_path / "out.tsv", run, "--compare", str(corpus / "test.tsv")) == 2
    assert "holds no word_times of a row of" in capsys.readouterr().err
    rows = [replace(row, src_text="x", word_times="0.01-0.02") for row in read_manifest(bare).rows]
    write_manifest(tmp_path / "other.tsv", rows)
    assert align(bare, tmp_path / "out.tsv", run, "--compare", str(tmp_path / "other.tsv")) == 2
    assert "dev0 has another src_text than in" in capsys.readouterr().err
    unknown = [replace(row, word_times=" ".join("-" for _ in row.src_text.split())) for row in read_manifest(bare).rows]
    write_manifest(tmp_path / "unknown.tsv", unknown)
    assert align(bare, tmp_path / "out.tsv", run, "--compare", str(tmp_path / "unknown.tsv")) == 2
    assert "holds no word_times of a row of" in capsys.readouterr().err
    assert not (tmp_path / "out.tsv").exists()


def test_a_reference_without_a_common_time_costs_no_alignment(run, bare, corpus, tmp_path, capsys):
    rows = read_manifest(bare).rows
    gone = [replace(rows[0], audio="gone.wav"), *rows[1:]]
    write_manifest(bare, gone)
    reference = [replace(row, word_times=times(corpus / "dev.tsv")["dev0"]) for row in rows[:1]]
    write_manifest(tmp_path / "reference.tsv", reference)
    assert align(bare, tmp_path / "out.tsv", run, "--compare", str(tmp_path / "reference.tsv")) == 2
    printed = capsys.readouterr().err
    assert f"--compare {tmp_path / 'reference.tsv'}: no word has a time on both sides" in printed
    assert f"the new manifest was written:\n{tmp_path / 'out.tsv'}: 7 of 8 rows aligned" in printed
    assert sum(map(bool, times(tmp_path / "out.tsv").values())) == 7


def test_help_names_the_command(capsys):
    with pytest.raises(SystemExit):
        main(["data", "align", "--help"])
    assert "usage: aista data align" in capsys.readouterr().out
