"""The record of a run's own copies: damage of any of them names the way back."""

import pytest

from aista.errors import RunError
from aista.run_folder.assets import Assets
from aista.run_folder.paths import RunPaths


@pytest.mark.parametrize("file", ["assets.json", "spm.model"])
@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", b'{"started_in": 1'])
def test_damage_names_the_way_back(tmp_path, file, content):
    run = RunPaths(tmp_path)
    run.assets_dir.mkdir()
    (run.assets_dir / "spm.model").write_bytes(b"pieces")
    Assets(tmp_path, {}).save(run.assets_dir)
    assert Assets.load(run) == Assets(tmp_path, {})
    (run.assets_dir / file).write_bytes(content)
    with pytest.raises(RunError, match=f"assets/{file}: .*; restore it, or remove .*assets: then the originals are"):
        Assets.load(run)
