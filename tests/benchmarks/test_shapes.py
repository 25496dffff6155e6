import pytest

from benchmarks.pretrained import make_task
from benchmarks.shapes import SHAPES, make_folders


@pytest.mark.parametrize("name", SHAPES)
def test_a_task_is_made_of_every_shape(tmp_path, name):
    folders = make_folders(tmp_path, SHAPES[name])
    task = make_task(folders)
    assert task.feature.dim == SHAPES[name].whisper().num_mel_bins
    assert task.tokenizer.vocab_size == SHAPES[name].llm().vocab_size
    assert task.pretrained == "skip"
    (folders.llm / "model.safetensors").touch()
    assert make_task(folders).pretrained == "load"
