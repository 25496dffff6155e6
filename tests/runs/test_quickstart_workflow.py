"""The quickstart from corpus to report, with a corpus and models that take seconds."""

import time
from types import SimpleNamespace

import pytest
import yaml

from aista.corpora.quickstart import QuickstartCorpus
from aista.errors import AistaError, RunError
from aista.report.tables import SystemRow
from aista.runs.quickstart_workflow import Quickstart, seed_table
from aista.shipped import find_config
from tests.processes import preloaded_jobs

CORPUS = QuickstartCorpus(num_train=40, num_dev=10, num_test=12, num_text=40, vocab_size=80)
WIDTHS = {"model_dim": 16, "num_layers": 1, "num_heads": 2, "ffn_dim": 32}


@pytest.fixture(scope="module", autouse=True)
def _preloaded():
    with preloaded_jobs():
        yield


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory):
    """The shipped experiment with everything made small, run once."""
    folder = tmp_path_factory.mktemp("quickstart")
    config = yaml.safe_load(find_config("quickstart").read_text())
    config["encoder"]["config"] |= WIDTHS
    config["llm"]["config"] |= WIDTHS | {"num_layers": 3}
    config["layer_selection"]["config"] |= {"warmup_steps": 2, "probe_size": 8}
    config["trainer"] |= {"max_steps": 4, "warmup_steps": 1, "checkpoint_every": 2, "log_every": 1}
    config["evaluation"]["generation"] = {"beam_size": 1, "max_new_tokens": 4}
    for stage in config["pretraining"]:
        stage["config"]["trainer"] |= {"max_steps": 2, "warmup_steps": 1, "checkpoint_every": 2, "log_every": 1}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    quickstart = Quickstart(folder / "runs", folder / "data", folder / "config.yaml", CORPUS)
    quickstart.run([1])
    return quickstart


@pytest.mark.slow
def test_it_leaves_a_report_that_says_that_the_corpus_is_synthetic(quickstart):
    html = (quickstart.out / "report.html").read_text()
    assert "Synthetic" in html
    for shown in ("CE only", "AI-STA", "MRR", "<svg", "BLEU"):
        assert shown in html
    assert "https://" not in html.replace("https://arxiv.org", "").replace("https://github.com", "")


@pytest.mark.slow
def test_both_systems_start_from_the_same_parts_and_differ_in_the_alignment_alone(quickstart):
    configs = {
        name: yaml.safe_load((quickstart.out / "seed_1" / name / "config.yaml").read_text())
        for name in ("ce_only", "aista")
    }
    assert configs["ce_only"].pop("alignment") == []
    assert len(configs["aista"].pop("alignment")) == 1
    assert configs["ce_only"] == configs["aista"]
    assert configs["aista"]["initialize"]["llm"].endswith("pretraining/lm")


def test_several_seeds_give_a_table_with_their_mean_and_spread():
    def summary(baseline, aligned):
        systems = tuple(
            SystemRow(name=name, scores={"bleu": score}) for name, score in (("CE only", baseline), ("AI-STA", aligned))
        )
        return SimpleNamespace(systems=systems, comparisons=(SimpleNamespace(metric="bleu"),))

    table = seed_table({1: summary(10.0, 13.0), 2: summary(12.0, 13.0)})
    assert table.rows == (
        ("1", "10.0", "13.0", "+3.0"),
        ("2", "12.0", "13.0", "+1.0"),
        ("mean", "11.0", "13.0", "+2.0 (sd 1.4)"),
    )


@pytest.mark.slow
def test_a_second_call_reuses_everything(quickstart, capsys):
    files = [path for path in quickstart.out.rglob("*") if path.is_file() and path.name != "report.html"]
    before = {path: path.stat().st_mtime_ns for path in files}
    started = time.time_ns()
    quickstart.run([1])
    assert before == {path: path.stat().st_mtime_ns for path in files}
    assert (quickstart.out / "report.html").stat().st_mtime_ns > started
    assert capsys.readouterr().out.count("(reused)") == 5


@pytest.mark.slow
def test_a_failing_run_shows_the_end_of_its_log(tmp_path, quickstart):
    config = yaml.safe_load(quickstart.config.read_text())
    config["pretraining"][1]["config"]["trainer"]["parameter_groups"] = [{"params": "nothing", "learning_rate": 1e-3}]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    broken = Quickstart(tmp_path / "runs", quickstart.data, tmp_path / "config.yaml", CORPUS)
    with pytest.raises(RunError, match=r"(?s)failed with exit code 2; the end of .*'nothing' matches no parameter"):
        broken.run([1])


@pytest.mark.slow
def test_the_folder_of_another_experiment_is_refused_before_anything_is_trained(tmp_path, quickstart):
    config = yaml.safe_load(quickstart.config.read_text())
    config["pretraining"][0]["config"]["trainer"]["learning_rate"] = 0.5
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    other = Quickstart(quickstart.out, quickstart.data, tmp_path / "config.yaml", CORPUS)
    with pytest.raises(AistaError, match="lm: this run folder holds another experiment; it differs in trainer"):
        other.run([1])
