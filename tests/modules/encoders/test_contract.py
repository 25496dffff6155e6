"""The contracts of ``aista check`` on encoders that need files."""

import pytest

from aista.testing.contracts import run

from .folders import KINDS, make_folder
from .test_whisper import folder, reference  # noqa: F401 - fixtures


@pytest.mark.parametrize(
    "options", [{}, {"layers": "weighted"}, {"layers": 0}, {"mask_time_prob": 0.2, "layerdrop": 0.2}]
)
@pytest.mark.parametrize("kind", ["wav2vec2-base", "wavlm-large", "w2v-bert"])
def test_options_of_hf_speech_keep_the_contracts(kind, options, tmp_path):
    path = str(make_folder(tmp_path, kind))
    assert {
        str(outcome) for outcome in run("encoder", "hf_speech", {"path": path, **options}) if outcome.status != "PASS"
    } == set()


@pytest.mark.parametrize("kind", KINDS)
def test_models_keep_the_contracts(kind, tmp_path):
    outcomes = run("encoder", "hf_speech", {"path": str(make_folder(tmp_path, kind))})
    assert {outcome.contract for outcome in outcomes} >= {"padding", "batch_of_one", "length_range", "gradients"}
    assert [str(outcome) for outcome in outcomes if outcome.status != "PASS"] == []
