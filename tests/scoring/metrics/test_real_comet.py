"""The real ``unbabel-comet`` on small models with random weights, where its interpreter is given.

``AISTA_COMET_PYTHON=comet-env/bin/python pytest tests/scoring/metrics/test_real_comet.py``
"""

from __future__ import annotations

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

MAKE = """
import sys
from pathlib import Path

import pytorch_lightning, torch, yaml
from comet.models import str2model
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import XLMRobertaConfig, XLMRobertaTokenizerFast

folder, kind, pickled = Path(sys.argv[1]), sys.argv[2], sys.argv[3:] == ["pickled"]
encoder = folder / "encoder"
encoder.mkdir(parents=True)
(folder / "checkpoints").mkdir()
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
torch.manual_seed(0)
options = dict(pretrained_model=str(encoder), load_pretrained_weights=False, hidden_sizes=[8], dropout=0.0)
model = str2model[kind](**options)
trainer = pytorch_lightning.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
trainer.strategy.connect(model)
trainer.save_checkpoint(folder / "checkpoints" / "model.ckpt", weights_only=True)
if pickled:
    state = torch.load(folder / "checkpoints" / "model.ckpt", weights_only=False)
    torch.save({**state, "callbacks": {"made by": Path("somewhere")}}, folder / "checkpoints" / "model.ckpt")
settings = {**model.hparams, "class_identifier": kind}
(folder / "hparams.yaml").write_text(yaml.safe_dump(settings))

from comet import load_from_checkpoint

if not pickled:
    scorer = load_from_checkpoint(str(folder / "checkpoints" / "model.ckpt"))
    rows = [dict(zip(("src", "mt", "ref"), line.split("|"))) for line in sys.stdin.read().splitlines()]
    for row in rows:  # one by one, without padding
        print(*scorer.predict([row], batch_size=1, gpus=0, progress_bar=False)["scores"], file=sys.stderr)
"""


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def make_model(folder: Path, kind: str, *options: str) -> list[float]:
    """A model of COMET's own making, and what it says of the texts itself."""
    assert SOURCES.source is not None
    rows = "\n".join("|".join(cells) for cells in zip(SOURCES.source, HYPOTHESES, REFERENCES, strict=True))
    command = [str(PYTHON), "-I", "-W", "ignore", "-c", MAKE, str(folder), kind, *options]
    done = subprocess.run(command, input=rows, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [float(line) for line in done.stderr.splitlines()[-4:]] if not options else []


@pytest.mark.parametrize("kind", ["regression_metric", "referenceless_regression_metric"])
def test_scores_are_those_of_comet(kind: str, tmp_path: Path) -> None:
    expected = make_model(tmp_path / "model", kind)
    metric = make("comet", model=tmp_path / "model")
    found = metric.measure(HYPOTHESES, REFERENCES, SOURCES)
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-4, atol=1e-5)  # batches pad, and COMET's sums differ
    assert len({round(score, 5) for score in expected}) == 4
    assert metric.score(HYPOTHESES, REFERENCES, SOURCES).value == pytest.approx(100 * np.mean(expected), abs=1e-3)


def test_a_pickle_is_refused_unless_it_is_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_model(tmp_path / "model", "regression_metric", "pickled")
    with pytest.raises(RunError, match=r"holds more than weights, and reading it would run code \(.*pathlib") as error:
        make("comet", model=tmp_path / "model").score(HYPOTHESES, REFERENCES, SOURCES)
    monkeypatch.setenv(TRUST_VARIABLE, str(error.value).split("=")[-1])
    assert make("comet", model=tmp_path / "model").score(HYPOTHESES, REFERENCES, SOURCES).name == "comet"
