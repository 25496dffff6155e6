"""The shipped ablation files: each resolves, copied elsewhere too, and its first line runs it."""

import pytest

from aista.runs.ablation.plan import load_ablation
from aista.shipped import shipped_configs

# Language models and CTC encoders that a file trains, where it is not one of each.
STAGES = {"data": 4, "evidence_explore": 3, "prompt": 5, "size": 5, "voices": 3, "voices_one_stage": 1}
FILES = [path for path in shipped_configs().values() if path.parent.name == "ablations"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_it_resolves_and_says_how_to_run_it(file, tmp_path, monkeypatch):
    first, second, *_ = file.read_text().splitlines()
    assert first.endswith(f"aista ablate {file.stem}")
    assert second.startswith("# ")
    monkeypatch.chdir(tmp_path)
    for model in ("whisper-tiny.en", "gemma-3-270m"):  # as tools.pretrained makes them; else the hub is asked
        (tmp_path / "models" / model).mkdir(parents=True)
    copy = tmp_path / "my.yaml"
    copy.write_text(file.read_text())
    ablation = load_ablation(copy, tmp_path)
    ids = [run.id for run in ablation.runs]
    assert len(set(ids)) == len(ids)  # a value that changes nothing would be a mistake of the preset
    assert len({stage.folder for run in ablation.runs for stage in run.stages}) == STAGES.get(file.stem, 2)
