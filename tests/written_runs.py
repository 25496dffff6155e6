"""Run folders as the engine writes them, without an engine."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import torch

from aista.scoring.hypotheses import HypothesisRow, write_hypotheses
from aista.selection.curve import ProbeCurve
from aista.selection.retrieval_probe import RetrievalProbe
from aista.types import LayerStates

WORDS = ["le", "petit", "chat", "noir", "mange", "une", "pomme", "rouge", "dans", "la", "grande", "maison", "verte"]
TOKENS = ["▁the", "▁sm", "all", "▁black", "▁cat", "▁eats", "▁a", "▁red", "▁app", "le", "▁in", "▁the", "▁house", "."]


def make_curve(noise: float, num_layers: int = 4, size: int = 60, seed: int = 0, resamples: int = 0) -> ProbeCurve:
    """A real probe of random states; layers 1 and 2 carry the utterance, the deeper ones less."""
    generator = torch.Generator().manual_seed(seed)
    meaning = torch.randn(size, 16, generator=generator)
    layers = range(num_layers + 1)
    probe = RetrievalProbe(layers, resamples=resamples)
    states = []
    for layer in layers:
        level = noise * (1 + abs(layer - 1.5))
        speech = (meaning + level * torch.randn(size, 16, generator=generator))[:, None].expand(-1, 3, -1)
        text = (meaning + 0.3 * torch.randn(size, 16, generator=generator))[:, None].expand(-1, 2, -1)
        states.append(LayerStates(speech, torch.full((size,), 3), text, torch.tensor([2] * (size - 3) + [0] * 3)))
    probe.add_states(states)
    return probe.compute()


def make_plan(positions: int = 40, tokens: list[str] | None = None) -> dict[str, Any]:
    """A soft staircase with uniform mass over positions."""
    tokens = TOKENS if tokens is None else tokens
    place = torch.linspace(0, len(tokens) - 1, positions)
    scores = -(place[:, None] - torch.arange(len(tokens))[None]).square() / 1.5
    plan = scores.softmax(dim=1) / positions
    return {"id": "test_0001", "layer": 1, "tokens": tokens, "plan": plan.tolist(), "seconds_per_position": 0.08}


def hypothesis_rows(error: float, size: int = 80, seed: int = 0) -> list[HypothesisRow]:
    """The same references for every error rate; each word is replaced with that probability."""
    sentences, noise = random.Random(seed), random.Random(error)
    rows = []
    for number in range(size):
        words = sentences.choices(WORDS, k=8)
        spoken = [word if noise.random() > error else noise.choice(WORDS) for word in words]
        rows.append(HypothesisRow(f"u{number}", f"source {number}", " ".join(words) + ".", " ".join(spoken) + "."))
    return rows


def write_run(path: Path, *, error: float = 0.3, noise: float = 2.0, aligned: bool = False) -> Path:
    """A complete run folder; ``aligned`` adds what only an aligned run has."""
    for folder in ("metrics", "probe", "evaluation/test"):
        (path / folder).mkdir(parents=True)
    generator = random.Random(error)
    (path / "config.yaml").write_text("task: speech_translation\nalignment: []\nname: <b>&\n")
    _dump(path / "environment.json", {"python": "3.11.9", "versions": {"torch": "2.9.1"}, "device": "cpu"})
    _dump(path / "timing.json", {"train_seconds": 97.3})
    with (path / "metrics/train.jsonl").open("w") as train, (path / "metrics/valid.jsonl").open("w") as valid:
        for step in range(1, 201):
            row = {"step": step, "nll": 5 / (1 + step / 30) + generator.uniform(0, 0.4), "lr": 2e-3}
            if aligned:
                row |= {f"ot_layer_{k}": (0.6 + k / 10) / (1 + step / 60) for k in (1, 2)}
            train.write(json.dumps(row) + "\n")
            if step % 50 == 0:
                scores = {"step": step, "nll": row["nll"] + 0.3, "bleu": 50 - 3000 * error / step}
                valid.write(json.dumps(scores) + "\n")
    if aligned:
        selection = {"step": 60, "strategy": "retrieval", "layers": [1, 2], "weights": [0.5, 0.5], "reason": "mrr"}
        _dump(path / "selection.json", selection | {"curve": make_curve(3.0).to_json()})
        _dump(path / "probe/final_plan.json", make_plan())
    probe = {"checkpoint": "step_200", "step": 200, "split": "dev", "curve": make_curve(noise).to_json()}
    _dump(path / "probe/final.json", probe)
    rows = hypothesis_rows(error)
    write_hypotheses(path / "evaluation/test/hypotheses.tsv", rows)
    scores = [{"name": "bleu", "value": 40.0, "signature": "nrefs:1"}]
    _dump(path / "evaluation/test/scores.json", {"scores": scores, "seconds": 3.5, "num_utterances": len(rows)})
    return path


def _dump(path: Path, data: Any) -> None:
    path.write_text(json.dumps(data))
