"""The shipped ablation files: each resolves, and its first line runs it."""

from pathlib import Path

import pytest

from aista.runs.ablation.plan import load_ablation

# Language models and CTC encoders that a file trains, where it is not one of each.
STAGES = {"data": 4, "evidence_explore": 3, "prompt": 5, "size": 5}
FOLDER = Path(__file__).parents[2] / "configs" / "ablations"


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.yaml")), ids=lambda file: file.stem)
def test_it_resolves_and_says_how_to_run_it(file, tmp_path):
    first, second, *_ = file.read_text().splitlines()
    assert first.endswith(f"aista ablate configs/ablations/{file.name}")
    assert second.startswith("# ")
    ablation = load_ablation(file, tmp_path)
    ids = [run.id for run in ablation.runs]
    assert len(set(ids)) == len(ids)  # a value that changes nothing would be a mistake of the preset
    assert len({stage.folder for run in ablation.runs for stage in run.stages}) == STAGES.get(file.stem, 2)
