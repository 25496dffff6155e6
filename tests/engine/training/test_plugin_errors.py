"""What a plug-in does wrong in a training is one message with file and line, and leaves no half-made run."""

from pathlib import Path

import pytest

from aista.cli.main import main
from aista.engine.training.plugin_errors import plugin_errors
from aista.run_folder.paths import RunPaths
from aista.scaffold import new_component
from aista.tasks.experiment import structure_experiment
from tests.places import line_of
from tests.tiny import tiny_config, write_config

pytestmark = pytest.mark.usefixtures("clean_registry")

ADAPTER = {"adapter": {"name": "own_part"}}
SOLVER = {"alignment": [{"name": "ot", "weight": 0.5, "config": {"solver": "own_part"}}]}
MISTAKES = {  # part, option, what is changed, message
    "a method is missing": (
        *("adapter", ADAPTER, ("def output_lengths(", "def lengths_of(")),
        "own_part.py:{component}: OwnPart lacks `def output_lengths(self, lengths: Tensor) -> Tensor`; kind adapter "
        "asks for ",
    ),
    "a method of the options is missing": (
        *("ot_solver", SOLVER, ("def solve(", "def transport(")),
        "own_part.py:{component}: OwnPart lacks `def solve(self, problem: Problem) -> OTResult`; kind ot_solver "
        "asks for `OwnPart(*, sharpness)`",
    ),
    "it breaks when it is used": (
        *("adapter", ADAPTER, ("self.output_lengths(lengths)", "states @ lengths")),
        "own_part.py:{mistake}: RuntimeError: size mismatch",
    ),
    "others stumble over its shape": (
        *("adapter", ADAPTER, ("nn.Linear(input_dim, output_dim)", "nn.Linear(input_dim, output_dim + 1)")),
        ("super().__init__(output_dim,", "super().__init__(output_dim + 1,"),
        "own_part.py:{component}: positions must be [4, P, output_dim 24], got [4, 6, 25] (contract shapes; "
        "training stopped ",
    ),
    "bad syntax": (
        "adapter",
        ADAPTER,
        ("= config.window", "= config.window)"),
        "own_part.py:{mistake}: SyntaxError: unmatched ",
    ),
}


def _plugin(kind, *changes):
    file = new_component(kind, "own_part", Path("own_part.py"))
    text = file.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    file.write_text(text)
    return file


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_message_and_leaves_nothing(tmp_path, monkeypatch, corpus, capsys, mistake):
    monkeypatch.chdir(tmp_path)
    kind, options, *changes, message = MISTAKES[mistake]
    file = _plugin(kind, *changes)
    message = message.format(component=line_of(file, "@register("), mistake=line_of(file, changes[0][1]))
    config = write_config(Path("config.yaml"), tiny_config(corpus, plugins=["own_part.py"], **options))
    assert main(["train", "run", "--config", str(config)]) == 2
    err = capsys.readouterr().err
    assert "Traceback" not in err
    (line,) = (line for line in err.splitlines() if line.startswith("aista: "))
    assert line.startswith(f"aista: plug-in {message}")
    assert line.endswith("; `aista check own_part.py` tests it, PYTHONDEVMODE=1 shows the traceback")
    assert not Path("run").exists()


def test_a_run_that_has_trained_stays_with_the_traceback_in_its_log(tmp_path, monkeypatch, corpus, capsys):
    monkeypatch.chdir(tmp_path)
    file = _plugin(
        "adapter", ("        out_lengths =", "        assert not Path('stop').exists()\n        out_lengths =")
    )
    file.write_text(file.read_text().replace("import torch\n", "from pathlib import Path\n\nimport torch\n"))
    trainer = {"max_steps": 4, "log_every": 1, "checkpoint_every": 2}
    config = write_config(Path("config.yaml"), tiny_config(corpus, plugins=["own_part.py"], trainer=trainer, **ADAPTER))
    assert main(["train", "run", "--config", str(config), "trainer.max_steps=2"]) == 0
    Path("stop").touch()
    capsys.readouterr()
    assert main(["train", "run", "--config", str(config)]) == 2
    line = line_of(file, "assert not Path")
    assert f"aista: plug-in own_part.py:{line}: AssertionError" in capsys.readouterr().err
    log = next(RunPaths(Path("run")).engine_logs_dir.glob("rank_0.log")).read_text()
    assert "Traceback (most recent call last)" in log
    assert f'own_part.py", line {line}, in forward' in log
    Path("stop").unlink()
    assert main(["train", "run", "--config", str(config)]) == 0
    assert RunPaths(Path("run")).checkpoint_steps()[-1] == 4


def test_what_is_no_plug_ins_fault_passes_as_it_is(corpus):
    experiment = structure_experiment(tiny_config(corpus))
    with pytest.raises(RuntimeError, match="a bug of aista"), plugin_errors(experiment):
        raise RuntimeError("a bug of aista")
