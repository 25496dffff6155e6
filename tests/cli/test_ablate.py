"""A sweep of tiny runs: from the file to the table, stopped and continued, with a failing run."""

import csv
import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest
import yaml

from aista.run_folder.metric_records import read_records
from aista.run_folder.paths import RunPaths
from aista.runs.ablation.plan import load_ablation
from aista.runs.jobs import Job
from tests.processes import Python, preloaded_jobs
from tests.tiny import make_corpus, tiny_config

pytestmark = pytest.mark.slow

RUNS = {
    "CE only": {"alignment": []},
    "AI-STA": {},
    "the same": {"alignment[0].weight": 0.5},
    "shuffled": {"data.shuffle_transcripts": True},
}
STAGE = {
    "name": "lm",
    "task": "text_translation",
    "part": "llm",
    "config": {"trainer": {"max_steps": 2, "log_every": 1}},
}


@pytest.fixture(scope="module", autouse=True)
def _preloaded():
    with preloaded_jobs():
        yield


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return make_corpus(tmp_path_factory.mktemp("ablation") / "corpus")


def write_ablation(folder, corpus, runs=RUNS, seeds=(1,), probe=0, **changes):
    config = tiny_config(corpus, trainer={"max_steps": 4, "log_every": 1}, **changes)
    (folder / "base.yaml").write_text(yaml.safe_dump(config))
    file = folder / "ablation.yaml"
    keys = {"base": "base.yaml", "runs": runs, "baseline": "CE only", "seeds": list(seeds), "samples": 40}
    keys["probe"] = probe
    file.write_text(yaml.safe_dump(keys, sort_keys=False))
    return file


def read_table(out):
    return csv.DictReader((out / "table.csv").read_text().splitlines())


def snapshot(folder):
    return {path: path.stat().st_mtime_ns for path in (folder / "runs").rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def sweep(tmp_path_factory, corpus):
    """The sweep, run once with two seeds, and what its command returned."""
    from aista.cli.main import main

    folder = tmp_path_factory.mktemp("sweep")
    file = write_ablation(folder, corpus, seeds=(1, 2), pretraining=[STAGE])
    code = main(["ablate", str(file), "--out", str(folder / "out"), "--jobs", "2"])
    return file, folder / "out", code


def test_it_leaves_tables_of_all_runs(sweep):
    _, out, code = sweep
    assert code == 0
    rows = list(read_table(out))
    assert [row["run"] for row in rows if row["metric"] == "bleu"] == list(RUNS)
    by_name = {row["run"]: row for row in rows if row["metric"] == "chrf"}
    assert by_name["CE only"]["p"] == ""
    assert by_name["AI-STA"]["p_holm"] >= by_name["AI-STA"]["p"]
    assert by_name["AI-STA"]["scores"] == by_name["the same"]["scores"]
    assert all(float(row["seconds_per_step"]) > 0 and row["failed_seeds"] == "0" for row in rows)
    assert all(float(row["peak_memory_mib"]) > 50 for row in rows)
    assert "AI-STA" in (out / "table.md").read_text()
    assert r"\toprule" in (out / "table.tex").read_text()
    assert (out / "differences.png").read_bytes().startswith(b"\x89PNG")


def test_equal_configs_and_shared_stages_are_trained_once(sweep):
    _, out, _ = sweep
    assert len(list((out / "runs").iterdir())) == 6  # CE only, AI-STA, shuffled; two seeds
    assert len(list((out / "pretraining").iterdir())) == 1
    folders = {(run["name"], run["seed"]): run["folder"] for run in json.loads((out / "runs.json").read_text())}
    assert folders["AI-STA", 1] == folders["the same", 1] != folders["AI-STA", 2]


@pytest.mark.parametrize("fails", [False, True])
def test_a_stage_waits_for_the_one_that_it_starts_from(tmp_path, corpus, monkeypatch, fails):
    from aista.runs.ablation import sweep

    groups = []

    def run_jobs(jobs, *_, **__):
        groups.append([job.label for job in jobs])
        for job in () if fails else jobs:
            (job.folder / "checkpoints").mkdir(parents=True)
            monkeypatch.setattr(sweep.RunPaths, "is_complete", property(lambda paths: paths.path.is_dir()))
        return {}

    monkeypatch.setattr(sweep, "run_jobs", run_jobs)
    hear = {"name": "hear", "task": "speech_translation", "part": "adapter", "config": {"llm": {"tuning": "frozen"}}}
    file = write_ablation(tmp_path, corpus, runs={"CE only": {"alignment": []}}, pretraining=[STAGE, hear])
    plan = sweep.Sweep(load_ablation(file, tmp_path / "out"), tmp_path / "out", num_jobs=2)
    plan._train_stages({stage.folder: stage for run in plan.ablation.runs for stage in run.stages})
    assert groups == [["pretraining lm"]] if fails else [["pretraining lm"], ["pretraining hear"]]


def test_seeds_come_one_after_the_other(tmp_path, corpus, monkeypatch):
    """A sweep that is stopped has whole seeds to compare."""
    from aista.runs.ablation import sweep

    started = []
    monkeypatch.setattr(sweep, "run_jobs", lambda jobs, *_, **__: started.extend(job.label for job in jobs) or {})
    file, out = write_ablation(tmp_path, corpus, seeds=(5, 2)), tmp_path / "out"
    assert not sweep.Sweep(load_ablation(file, out), out, num_jobs=1).run()
    runs = ("CE only", "AI-STA", "shuffled")
    assert started == [f"{name}, seed {seed}" for seed in (5, 2) for name in runs]


def test_an_interrupted_sweep_says_what_is_kept(tmp_path, corpus, aista, monkeypatch):
    from aista.runs.ablation import sweep

    def interrupted(jobs, *_, **__):
        for job, steps in zip(jobs, ([], [2, 4], []), strict=True):
            for step in steps:
                RunPaths(job.folder).checkpoint_dir(step).mkdir(parents=True)
            if job.label != "shuffled, seed 1":
                job.folder.mkdir(exist_ok=True, parents=True)
                shutil.copy(job.files.config, RunPaths(job.folder).config_file)
        raise KeyboardInterrupt

    monkeypatch.setattr(sweep, "run_jobs", interrupted)
    code, printed, complaint = aista("ablate", write_ablation(tmp_path, corpus), "--out", tmp_path / "out")
    assert (code, complaint) == (130, "aista: interrupted\n")
    assert printed.splitlines() == [
        "stopped with 0 of 3 trainings done; repeat the command to go on:",
        "    CE only, seed 1 resumes from its start: it has no checkpoint",
        "    AI-STA, seed 1 resumes from step 4",
    ]


@pytest.mark.parametrize(("asked", "threads"), [("1", 1), ("3", 3), ("", 8), ("0", 8), ("many", 8)])
def test_threads_are_those_that_the_caller_set_or_all_cores(tmp_path, corpus, monkeypatch, asked, threads):
    """On a shared machine a run that takes every core waits for the slowest of them in each step."""
    from aista.runs.ablation import sweep

    given = []
    monkeypatch.setattr(sweep, "run_jobs", lambda jobs, *_, **__: given.extend(job.threads for job in jobs) or {})
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    file, out = write_ablation(tmp_path, corpus, {"CE only": {"alignment": []}}), tmp_path / "out"
    sweep.Sweep(load_ablation(file, out), out, num_jobs=1).run()
    assert given == [threads]


def test_a_second_call_trains_nothing(sweep, aista):
    file, out, _ = sweep
    before = snapshot(out)
    code, printed, _ = aista("ablate", file, "--out", out)
    assert code == 0
    assert printed.count("(reused)") == 8
    assert snapshot(out) == before


def test_the_plan_says_what_is_done_and_how_runs_differ(sweep, aista, tmp_path):
    file, out, _ = sweep
    _, printed, _ = aista("ablate", file, "--out", out, "--dry-run")
    assert printed.count("[done") == 8
    assert "the same, seed 1  [done, the same training as AI-STA, seed 1]" in printed
    code, printed, _ = aista("ablate", file, "--out", tmp_path / "new", "--dry-run")
    assert code == 0
    assert f"CE only, seed 1  [to do]  {tmp_path}/new/seed_1/CE only\n" in printed
    assert "alignment: [ot] -> []" in printed
    assert not (tmp_path / "new").exists()


def test_runs_are_probed_and_retrieval_is_held_against_the_score(sweep, aista):
    """Asked for later, it is made up for without a training."""
    file, out, _ = sweep
    trained = {path: path.stat().st_mtime_ns for path in out.glob("runs/*/metrics/*")}
    keys = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump({**keys, "probe": 4}, sort_keys=False))
    code, printed, _ = aista("ablate", file, "--out", out, "--jobs", "2")
    file.write_text(yaml.safe_dump(keys, sort_keys=False))
    assert code == 0
    assert "correlation.md" in printed
    assert {path: path.stat().st_mtime_ns for path in out.glob("runs/*/metrics/*")} == trained
    assert len(list(out.glob("runs/*/probe/test_4.json"))) == 6
    runs, rows = (out / "correlation.md").read_text().split("Over the means of the rows:")
    assert "| layer 0 | 6 |" in runs  # "the same" is no run of its own
    assert "| layer 0 | 3 |" in rows
    assert (out / "correlation.png").is_file()


def test_scores_before_alignment_are_held_against_what_each_layer_gains(tmp_path, corpus, aista):
    trainer = {"max_steps": 4, "log_every": 1, "checkpoint_every": 2, "keep_last": 2}
    (tmp_path / "base.yaml").write_text(yaml.safe_dump(tiny_config(corpus, trainer=trainer)))
    layers = {
        f"layer {k}": {
            "layer_selection": {"name": "fixed", "config": {"layers": [k]}},
            "alignment[0].schedule": {"name": "constant", "config": {"start_step": 2}},
        }
        for k in range(3)
    }
    keys = {"base": "base.yaml", "runs": {"CE only": {"alignment": []}, **layers}, "baseline": "CE only"}
    file, out = tmp_path / "single.yaml", tmp_path / "out"
    file.write_text(yaml.safe_dump({**keys, "samples": 40, "split": "dev", "early_probe": 2}, sort_keys=False))
    code, printed, _ = aista("ablate", file, "--out", out, "--jobs", "2")
    assert code == 0
    assert "layer_scores.md" in printed
    (probe,) = out.glob("runs/*/probe/dev_early_2.json")
    measured = json.loads(probe.read_text())
    assert measured["step"] == 2
    names = measured["curve"]["layers"][0]["measures"]
    assert {"token_mrr", "word_mrr", "path_contrast", "lens_mrr", "gradient_cosine"} <= set(names)
    table = (out / "layer_scores.md").read_text()
    assert all(f"| {name} |" in table for name in ("mrr", "word_mrr", "gradient_cosine", "shallow first"))


def test_a_run_that_fails_is_a_row_with_its_error(tmp_path, corpus, aista):
    runs = {"CE only": {"alignment": []}, "broken": {"freeze_params": ["no_such_part"]}}
    file = write_ablation(tmp_path, corpus, runs)
    code, printed, _ = aista("ablate", file, "--out", tmp_path / "out", "--jobs", "2")
    assert code == 1
    rows = {row["run"]: row for row in read_table(tmp_path / "out")}
    assert rows["broken"]["failed_seeds"] == "1"
    assert rows["broken"]["mean"] == ""
    assert float(rows["CE only"]["mean"]) >= 0
    assert "failed: broken, seed 1: freeze_params: " in printed
    log = Path(printed.split("(log: ")[1].split(")")[0])
    assert "no_such_part" in log.read_text()
    _, printed, _ = aista("ablate", file, "--out", tmp_path / "out", "--dry-run")
    assert "broken, seed 1  [failed, to resume]" in printed or "broken, seed 1  [failed, to do]" in printed


GATED = '''
"""A weight that holds a training up until a file is there."""

import time
from dataclasses import dataclass
from pathlib import Path

from aista.losses.schedules.constant import ConstantSchedule
from aista.registry import register
from aista.schema import option


@register("weight_schedule", "gated")
@dataclass(frozen=True, kw_only=True)
class Gated(ConstantSchedule):
    """Constant, but before the third step it waits. Choose it to test."""

    gate: str = option("", "The file.")

    def factor(self, step, num_steps):
        if step == 3:
            Path(self.gate + ".reached").touch()
            while not Path(self.gate).is_file():
                time.sleep(0.01)
        return super().factor(step, num_steps)
'''


@pytest.mark.usefixtures("clean_registry")
@pytest.mark.parametrize("orphaned", [False, True], ids=["with its run", "alone"])
def test_a_killed_sweep_goes_on(tmp_path, corpus, aista, monkeypatch, orphaned):
    """Where only the sweep is killed its run ends by itself; until then the next sweep waits for it."""
    (tmp_path / "gated.py").write_text(GATED)
    gate, out = tmp_path / "gate", tmp_path / "out"
    schedule = {"alignment[0].schedule": {"name": "gated", "config": {"gate": str(gate)}}}
    runs = {"CE only": {"alignment": []}, "AI-STA": schedule}
    write_ablation(tmp_path, corpus, {"CE only": runs["CE only"]}, plugins=["gated.py"])
    assert aista("ablate", tmp_path / "ablation.yaml", "--out", out)[0] == 0
    file = write_ablation(tmp_path, corpus, runs, plugins=["gated.py"])
    first, second = (out / "runs" / run.id for run in load_ablation(file, out).runs)
    assert RunPaths(first).is_complete
    before = {path: time for path, time in snapshot(out).items() if path.is_relative_to(first)}

    command = [sys.executable, "-m", "aista", "ablate", str(file), "--out", str(out), "--jobs", "1"]
    with (tmp_path / "log").open("w") as log:
        child = Python(command, stdout=log, start_new_session=True)
    while not Path(f"{gate}.reached").exists():
        assert child.poll() is None, (tmp_path / "log").read_text()
        time.sleep(0.05)
    child.kill() if orphaned else os.killpg(child.pid, signal.SIGKILL)  # what this test started
    child.wait()
    assert not RunPaths(second).is_complete

    is_locked = Job.is_locked

    def open_gate(job):
        gate.touch()
        return is_locked(job)

    monkeypatch.setattr(Job, "is_locked", open_gate)
    code, printed, _ = aista("ablate", file, "--out", out)
    assert code == 0
    assert "CE only, seed 1 (reused)" in printed
    assert RunPaths(second).is_complete
    assert [record["step"] for record in read_records(second / "metrics" / "train.jsonl")] == [1, 2, 3, 4]
    assert all(snapshot(out)[path] == time for path, time in before.items())


def test_slurm_is_given_the_jobs_and_its_parameters(tmp_path, corpus, aista, monkeypatch):
    given = []
    monkeypatch.setattr("aista.runs.slurm.run_on_cluster", lambda jobs, *_, **how: given.extend([*jobs, how]) or {})
    file, out = write_ablation(tmp_path, corpus, {"CE only": {"alignment": []}}), tmp_path / "out"
    code, printed, _ = aista("ablate", file, "--out", out, "--slurm", "cluster=local", "timeout_min=5")
    assert (code, given[0].label) == (1, "CE only, seed 1")
    assert given[1] == {"folder": out / "slurm", "options": {"cluster": "local", "timeout_min": 5}}
    assert "failed: CE only, seed 1: did not run" in printed


@pytest.mark.parametrize(("jobs", "shared"), [((), False), (("--jobs", "3"), True), (("--jobs", "2"), False)])
def test_runs_that_share_gpus_are_announced(tmp_path, corpus, aista, monkeypatch, jobs, shared):
    for module in ("jobs", "devices"):
        monkeypatch.setattr(f"aista.runs.{module}.visible_gpus", lambda: ("0", "1"))
    file = write_ablation(tmp_path, corpus)
    _, _, complaint = aista("ablate", file, "--out", tmp_path / "out", "--dry-run", *jobs)
    assert ("--jobs 2 gives each run a GPU of its own" in complaint) == shared


def test_faults_found_before_training_stop_the_sweep(tmp_path, corpus, aista):
    far = {"layer_selection": {"name": "fixed", "config": {"layers": [9]}}}
    file = write_ablation(tmp_path, corpus, {"CE only": {"alignment": []}, "far": far})
    code, _, complaint = aista("ablate", file, "--out", tmp_path / "out")
    assert code == 2
    assert "run far, seed 1: layer_selection" in complaint
    assert not (tmp_path / "out").exists()
