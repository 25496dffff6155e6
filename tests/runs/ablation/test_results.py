"""The table of an ablation from run folders, against sums of its own."""

from __future__ import annotations

import csv
import json
import shutil
import statistics
from dataclasses import replace
from pathlib import Path

import pytest

from aista.report.report_options import ComparisonOptions
from aista.run_folder.contents import RunFolder
from aista.runs.ablation.outputs import write_outputs
from aista.runs.ablation.plan import Ablation
from aista.runs.ablation.result_table import ablation_csv, ablation_table, layers_text
from aista.runs.ablation.results import Outcome, ablation_rows, seconds_per_step
from aista.runs.ablation.variants import AblationConfig
from aista.scoring.hypotheses import write_hypotheses
from aista.scoring.macro_average import metrics_of_directions
from tests.scoring.helpers import just, make
from tests.written_runs import hypothesis_rows, write_run

FEW = ComparisonOptions(samples=100)
ERRORS = {("base", 1): 0.30, ("base", 2): 0.31, ("good", 1): 0.10, ("good", 2): 0.12, ("close", 1): 0.32}


@pytest.fixture(scope="module")
def metrics():
    return just(make("bleu"), make("chrf"))


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    folders = {key: RunFolder(write_run(folder / f"{key[0]}{key[1]}", error=error)) for key, error in ERRORS.items()}
    done = [Outcome(name, seed, f"{name}{seed}", run, "") for (name, seed), run in folders.items()]
    equal = [Outcome("alias", seed, f"base{seed}", folders["base", seed], "") for seed in (1, 2)]
    return [*done, Outcome("close", 2, "close2", None, "out of memory"), *equal]


@pytest.fixture(scope="module")
def rows(outcomes, metrics):
    return {row.name: row for row in ablation_rows(outcomes, metrics, "base", FEW)}


def test_scores_and_differences_are_those_of_the_hypotheses(rows, outcomes, metrics):
    scores = {
        (o.name, o.seed): make("bleu")
        .score(
            [row.hypothesis for row in o.folder.evaluation("test").rows],
            [row.reference for row in o.folder.evaluation("test").rows],
        )
        .value
        for o in outcomes
        if o.folder
    }
    differences = [scores["good", seed] - scores["base", seed] for seed in (1, 2)]
    result = rows["good"].comparisons["bleu"]
    assert rows["good"].scores["bleu"] == {1: scores["good", 1], 2: scores["good", 2]}
    assert result.difference == pytest.approx(statistics.mean(differences))
    assert result.spread == pytest.approx(statistics.stdev(differences))
    assert result.interval.low < result.difference < result.interval.high


def test_holm_counts_the_comparisons_and_not_the_baseline_nor_its_equal(rows):
    assert rows["base"].comparisons == rows["alias"].comparisons == {}
    good, close = (rows[name] for name in ("good", "close"))
    assert good.comparisons["bleu"].p_value == pytest.approx(1 / 101)
    assert good.adjusted["bleu"] == pytest.approx(2 / 101)
    assert close.adjusted["bleu"] == pytest.approx(max(2 / 101, close.comparisons["bleu"].p_value))


def test_seeds_are_corrected_for_the_rows_that_have_several(rows):
    good = rows["good"]
    assert good.comparisons["bleu"].seed_test.p_value == pytest.approx(0.5)
    assert good.seeds_adjusted["bleu"] == pytest.approx(0.5)  # `close` has one seed: no comparison over seeds
    assert rows["close"].seeds_adjusted == {}


@pytest.mark.parametrize(
    ("chosen", "text"),
    [
        ([], "-"),
        ([()], "-"),
        ([(1, 2), (1, 2)], "1, 2"),
        ([(0,), (1, 2), (1, 2)], "1, 2 (x2); 0 (x1)"),
    ],
)
def test_layers_of_seeds_that_differ_are_counted(chosen, text):
    assert layers_text(chosen) == text


def test_a_failed_seed_is_counted_and_the_others_are_compared(rows):
    assert rows["close"].failed == (2,)
    assert rows["close"].comparisons["bleu"].seeds == (1,)
    assert rows["close"].comparisons["bleu"].spread is None


def test_the_table_as_text(outcomes, metrics):
    table = ablation_table(ablation_rows(outcomes, metrics, "base", FEW), "base")
    base, good, close, _ = (dict(zip(table.columns, row, strict=True)) for row in table.rows)
    assert [row[0] for row in table.rows] == ["base", "good", "close", "alias"]
    assert table.rows[0][4:11] == ("-",) * 7
    assert good["Δ BLEU"].startswith("+")
    assert "±" in good["BLEU"]
    assert good["p (seeds)"] == "0.500"  # two seeds cannot say more
    assert base["Layers"] == good["Layers"]
    assert close["Seeds"] == "1 (1 failed)"
    assert close["p (seeds)"] == "-"
    assert close["p (segments)"] != "-"


def test_the_csv_has_a_line_per_run_and_metric(rows):
    lines = list(csv.DictReader(ablation_csv(list(rows.values())).splitlines()))
    assert [(line["run"], line["metric"]) for line in lines][:3] == [
        ("base", "bleu"),
        ("base", "chrf"),
        ("good", "bleu"),
    ]
    assert float(lines[2]["mean"]) == pytest.approx(statistics.mean(rows["good"].scores["bleu"].values()))
    assert lines[0]["difference"] == lines[0]["seed_p"] == ""
    test = rows["good"].comparisons["bleu"].seed_test
    assert float(lines[2]["seed_interval_high"]) == pytest.approx(test.interval.high)
    assert float(lines[2]["seed_t_p"]) == pytest.approx(test.t_p_value)
    assert all(None not in line and len(line) == len(lines[0]) for line in lines)


def test_what_else_was_measured_has_columns_of_its_own(tmp_path, metrics):
    folders = {seed: write_run(tmp_path / str(seed), error=seed / 10) for seed in (1, 2)}
    for seed, folder in folders.items():
        scores = json.loads((folder / "evaluation/test/scores.json").read_text())
        speech = {"nll": seed, "nll_shuffled_speech": seed + 2.5}
        (folder / "evaluation/test/scores.json").write_text(json.dumps(scores | {"shuffled_speech": speech}))
    shutil.copytree(folders[1] / "evaluation/test", folders[1] / "evaluation/test_transcript")
    outcomes = [Outcome("a", seed, str(seed), RunFolder(folder), "") for seed, folder in folders.items()]
    rows = ablation_rows(outcomes, metrics, "a", FEW, probe="final")
    best = max(RunFolder(folders[1]).probe("final").curve.values().values())
    assert rows[0].measures == {
        "text": {1: 40.0},
        "nll": {1: 1.0, 2: 2.0},
        "nll_shuffled_speech": {1: 3.5, 2: 4.5},
        "mrr": {1: best, 2: best},
        "train_seconds": {1: 97.3, 2: 97.3},
    }
    table = ablation_table(rows, "a")
    cells = dict(zip(table.columns, table.rows[0], strict=True))
    assert cells["BLEU from text"] == "40.0"
    assert (cells["NLL"], cells["NLL shuffled"]) == ("1.500 ± 0.707", "4.000 ± 0.707")
    assert cells["Training s"] == "97 ± 0"
    line = next(csv.DictReader(ablation_csv(rows).splitlines()))
    assert (line["text"], line["nll_shuffled_speech"]) == ("40.0", "4.0")
    (bare,) = ablation_rows(outcomes[:1], metrics, "a", FEW)
    assert "mrr" not in bare.measures
    assert "MRR" not in ablation_table([bare], "a").columns


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    """Two rows by two seeds of a run whose rows have two target languages, evaluated for two tasks."""
    folder = tmp_path_factory.mktemp("several")
    found = []
    for (name, seed), error in {("a", 1): 0.4, ("a", 2): 0.45, ("b", 1): 0.1, ("b", 2): 0.15}.items():
        run = RunFolder(write_run(folder / f"{name}{seed}", error=error))
        run.paths.config_file.write_text("task: speech_translation\ndata: {tasks: [st, asr]}\n")
        shutil.copytree(run.path / "evaluation/test", run.path / "evaluation/test+task=asr")
        rows = [replace(row, src_lang="en", tgt_lang="de" if row.id < "u3" else "fr") for row in hypothesis_rows(error)]
        write_hypotheses(run.paths.hypotheses_file("test"), rows)
        found.append(Outcome(name, seed, f"{name}{seed}", run, ""))
    return found


def by_language(task, languages):
    names = ("wer",) if task == "asr" else ("bleu", "chrf")
    return metrics_of_directions(languages, lambda code: [make(name, code or "en") for name in names])


def test_the_table_is_about_the_mean_over_the_directions(several):
    means = ablation_rows(several, by_language, "a", FEW)[1]
    parts = [ablation_rows(several, by_language, "a", replace(FEW, direction=name))[1] for name in ("en-de", "en-fr")]
    for seed in (1, 2):
        expected = statistics.mean(part.scores["bleu"][seed] for part in parts)
        assert means.scores["bleu"][seed] == pytest.approx(expected)
    differences = [part.comparisons["bleu"].difference for part in parts]
    assert means.comparisons["bleu"].difference == pytest.approx(statistics.mean(differences))
    transcripts = ablation_rows(several, by_language, "a", FEW, task="asr")[1]
    assert list(transcripts.scores) == ["wer"]


def test_a_table_for_each_task_and_direction_is_written(several, tmp_path):
    config = AblationConfig(base=Path("base.yaml"), tasks=("st", "asr"), samples=100)
    ablation = Ablation(Path("file.yaml"), config, "a", ())
    table, files = write_outputs(tmp_path, several, by_language, ablation)
    assert table.title.endswith("Δ is the difference from a; st, macro average over en-de, en-fr")
    assert "Compared: st, macro average over en-de, en-fr." in (tmp_path / "table.md").read_text()
    assert "directions.md" in files
    text = (tmp_path / "directions.md").read_text()
    assert [line for line in text.splitlines() if line.startswith("## ")] == ["## st en-de", "## st en-fr", "## asr"]
    alone = Ablation(Path("file.yaml"), replace(config, tasks=("st",), direction="en-fr"), "a", ())
    table, _ = write_outputs(tmp_path, several, by_language, alone)
    assert table.title.endswith("; st, en-fr")


def test_a_baseline_that_failed_leaves_no_comparison(outcomes, metrics):
    changed = [Outcome(o.name, o.seed, o.id, None if o.name == "base" else o.folder, "x") for o in outcomes[:4]]
    rows = ablation_rows(changed, metrics, "base", FEW)
    assert ablation_table(rows, "base").rows[0][2] == "-"
    assert all(not row.comparisons for row in rows)
    everything = [Outcome(o.name, o.seed, o.id, None, "x") for o in outcomes]
    table = ablation_table(ablation_rows(everything, metrics, "base", ComparisonOptions()), "base")
    assert {row[2] for row in table.rows} == {"-"}


def test_seconds_per_step_is_the_median_of_the_records(tmp_path: Path):
    run = write_run(tmp_path / "run")
    times = [(10, 2.0), (20, 1.0), (30, 9.0)]
    lines = [json.dumps({"step": step, "compute_time": time, "data_time": 0.5}) for step, time in times]
    (run / "metrics" / "train.jsonl").write_text("\n".join(lines) + "\n")
    assert seconds_per_step(RunFolder(run)) == pytest.approx(0.25)
