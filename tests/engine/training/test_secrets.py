from aista.engine.training.train import train
from aista.tasks.experiment import load_experiment
from tests.tiny import tiny_config, write_config


def test_environment_variables_reach_no_file(tmp_path, corpus, monkeypatch):
    monkeypatch.setenv("MY_API_TOKEN", "very-secret-value")
    options = tiny_config(corpus, trainer={"max_steps": 2, "log_every": 1})
    train(load_experiment(write_config(tmp_path / "config.yaml", options)), tmp_path / "run")
    files = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert any(path.name == "rank_0.log" for path in files)
    assert not [path for path in files if b"very-secret-value" in path.read_bytes()]
