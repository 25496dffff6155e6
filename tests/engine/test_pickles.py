"""No command executes a pickle that lies in a checkpoint, whoever made it and whatever its checksums say."""

import os
import shutil

import pytest
import torch

from aista.cli.main import main
from aista.files import hash_file
from aista.run_folder.checksums import write_checksums
from tests.tiny import tiny_config, write_config
from tests.trained import train_run

pytestmark = pytest.mark.slow

STATES = [
    "model/pp_00/tp_00/sdp_00.pt",
    "optimizer/pp_00/tp_00/sdp_00.pt",
    "trainer/rank_00.pt",
    "data_reader/dp_00.pt",
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory, corpus):
    return train_run(tmp_path_factory.mktemp("trained"), corpus)


class Harm:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def plant(trained, tmp_path, names):
    """A copy of the run, not yet complete, that has a pickle in the named files of each checkpoint."""
    run = shutil.copytree(trained, tmp_path / "run")
    (run / "timing.json").unlink()
    for checkpoint in run.glob("checkpoints/step_*"):
        assert sorted(path.relative_to(checkpoint).as_posix() for path in checkpoint.rglob("*.pt")) == sorted(STATES)
        for name in names:
            torch.save({"state": Harm(tmp_path / "harm")}, checkpoint / name)
        write_checksums(checkpoint, {name: hash_file(checkpoint / name) for name in STATES})
    return run


@pytest.mark.parametrize("verify", [[], ["--no-verify"]], ids=["verify", "no-verify"])
@pytest.mark.parametrize("name", STATES)
def test_resuming(trained, tmp_path, capsys, name, verify):
    run = plant(trained, tmp_path, [name])
    assert main(["train", str(run), *verify]) == 1
    assert f"step_4/{name}: damaged, or a pickle" in capsys.readouterr().err
    assert not (tmp_path / "harm").exists()


def test_other_commands(trained, tmp_path, corpus, capsys):
    run = plant(trained, tmp_path, STATES)
    (run / "timing.json").write_text("{}")
    audio, out = str(corpus / "audio" / "test0.wav"), str(tmp_path / "out")
    config = write_config(tmp_path / "config.yaml", tiny_config(corpus, initialize={"encoder": str(run)}))
    refused = {
        "evaluate": [str(run)],
        "translate": [str(run), audio],
        "probe": [str(run), "--size", "4"],
        "export": [str(run), out],
        "train": [str(tmp_path / "other"), "--config", str(config)],
    }
    for verb, arguments in refused.items():
        assert main([verb, *arguments]) == 1, verb
        assert "sdp_00.pt: damaged, or a pickle" in capsys.readouterr().err, verb
    assert main(["compare", str(trained), str(run)]) == 0
    assert main(["report", str(run), "--out", out]) == 0
    assert "sdp_00.pt: damaged, or a pickle" in capsys.readouterr().out  # no transport plan of it
    assert not (tmp_path / "harm").exists()
