"""The real ``unbabel-comet`` on small models with random weights, where its interpreter is given.

``AISTA_COMET_PYTHON=comet-env/bin/python pytest tests/scoring/metrics/test_real_comet.py``
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from aista.errors import RunError
from aista.scoring.comet_process import PYTHON_VARIABLE, TRUST_VARIABLE
from aista.scoring.utterance_inputs import UtteranceInputs
from tests.scoring.helpers import make

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        PYTHON_VARIABLE not in os.environ, reason=f"needs an interpreter with unbabel-comet in {PYTHON_VARIABLE}"
    ),
]
PYTHON = Path(os.environ.get(PYTHON_VARIABLE, "python")).absolute()
SOURCES = UtteranceInputs(["the cat sleeps", "she eats a red apple", "the table", "she sleeps"])
REFERENCES = ["le chat dort", "elle mange une pomme rouge", "la table", "elle dort"]
HYPOTHESES = ["le chat", "elle mange la pomme", "table", ""]

KINDS = ("regression_metric", "referenceless_regression_metric")
MAKE = """
import json, shutil, sys
from pathlib import Path

import pytorch_lightning, torch, yaml
from comet import load_from_checkpoint
from comet.models import str2model
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import XLMRobertaConfig, XLMRobertaTokenizerFast

folder, request = Path(sys.argv[1]), json.load(sys.stdin)
encoder = folder / "encoder"
encoder.mkdir()
words = "the cat sleeps she eats a red apple table le chat dort elle mange une la pomme rouge".split()
names = ["<s>", "<pad>", "</s>", "<unk>", *words, "<mask>"]
tokenizer = Tokenizer(models.WordLevel({name: place for place, name in enumerate(names)}, unk_token="<unk>"))
tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
tokenizer.post_processor = processors.TemplateProcessing(
    single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
)
tokenizer.save(str(encoder / "words.json"))
XLMRobertaTokenizerFast(tokenizer_file=str(encoder / "words.json")).save_pretrained(encoder)
XLMRobertaConfig(
    vocab_size=len(names), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
    max_position_embeddings=64, pad_token_id=1, bos_token_id=0, eos_token_id=2,
).save_pretrained(encoder)
trainer = pytorch_lightning.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
for kind in request["kinds"]:
    place = folder / kind
    (place / "checkpoints").mkdir(parents=True)
    torch.manual_seed(0)
    options = dict(pretrained_model=str(encoder), load_pretrained_weights=False, hidden_sizes=[8], dropout=0.0)
    model = str2model[kind](**options)
    trainer.strategy.connect(model)
    trainer.save_checkpoint(place / "checkpoints" / "model.ckpt", weights_only=True)
    (place / "hparams.yaml").write_text(yaml.safe_dump({**model.hparams, "class_identifier": kind}))
    scorer = load_from_checkpoint(str(place / "checkpoints" / "model.ckpt"))
    alone = dict(batch_size=1, gpus=0, progress_bar=False)  # row by row, without padding
    scores = [scorer.predict([row], **alone)["scores"][0] for row in request["rows"]]
    (place / "scores.json").write_text(json.dumps(scores))
shutil.copytree(folder / request["kinds"][0], folder / "pickled")
file = folder / "pickled" / "checkpoints" / "model.ckpt"
torch.save({**torch.load(file, weights_only=False), "made in": Path("somewhere")}, file)
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models of COMET's own making, and what COMET itself says of the texts."""
    assert SOURCES.source is not None
    folder = tmp_path_factory.mktemp("comet")
    rows = [
        dict(zip(("src", "mt", "ref"), cells, strict=True))
        for cells in zip(SOURCES.source, HYPOTHESES, REFERENCES, strict=True)
    ]
    command = [str(PYTHON), "-I", "-W", "ignore", "-c", MAKE, str(folder)]
    text = json.dumps({"kinds": KINDS, "rows": rows})
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_those_of_comet(kind: str, models: Path) -> None:
    expected = json.loads((models / kind / "scores.json").read_text())
    metric = make("comet", model=models / kind)
    found = metric.measure(HYPOTHESES, REFERENCES, SOURCES)
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-4, atol=1e-5)  # batches pad, and sums differ
    assert len({round(score, 5) for score in expected}) == 4
    assert metric.score(HYPOTHESES, REFERENCES, SOURCES).value == pytest.approx(100 * np.mean(expected), abs=1e-3)


def test_a_pickle_is_refused_unless_it_is_trusted(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RunError, match=r"holds more than weights, and reading it would run code \(.*pathlib") as error:
        make("comet", model=models / "pickled").score(HYPOTHESES, REFERENCES, SOURCES)
    monkeypatch.setenv(TRUST_VARIABLE, str(error.value)[-64:])
    assert make("comet", model=models / "pickled").score(HYPOTHESES, REFERENCES, SOURCES).name == "comet"
