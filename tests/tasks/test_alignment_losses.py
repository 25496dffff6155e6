"""Every alignment loss of aista trains a tiny model through the task."""

import pytest
import torch

from aista.data.dataset import SpeechTextDataset
from aista.data.manifest import read_manifest
from aista.errors import ConfigError
from aista.losses.base import AlignmentLoss, AlignmentResult
from aista.modules.lsm import ForwardRequest
from aista.registry import entries, register
from aista.selection.base import SelectedLayers
from aista.tasks.experiment import load_experiment
from aista.tasks.preflight import build_task
from tests.tiny import make_corpus, tiny_config, write_config

LOSSES = [entry.name for entry in entries("alignment_loss") if entry.origin.startswith("aista.")]
BOTH = SelectedLayers((0, 1), (0.25, 0.75), "")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return make_corpus(tmp_path_factory.mktemp("tones") / "corpus", num_train=12, untranscribed=2)


@pytest.fixture
def setup(corpus, tmp_path):
    """From alignment nodes (and options of the task) to a task, its model, and a function from rows to a batch."""

    def make(*alignment, **changes):
        options = tiny_config(corpus, alignment=list(alignment), **changes)
        options["encoder"]["config"]["dropout"] = options["llm"].setdefault("config", {})["dropout"] = 0.0
        experiment = load_experiment(write_config(tmp_path / "config.yaml", options))
        task = build_task(experiment)
        task.selected = BOTH
        rows = read_manifest(corpus / "train.tsv").rows
        dataset = SpeechTextDataset(rows, corpus, task.feature, task.tokenizer, words=task.needs_words)
        torch.manual_seed(0)
        return task, task.build_model(), lambda rows: dataset.batch(rows, 0)

    return make


@pytest.mark.parametrize("text_gradient", [False, True])
@pytest.mark.parametrize("name", LOSSES)
def test_it_trains_and_falls(setup, name, text_gradient):
    task, model, batch = setup({"name": name, "weight": 1.0}, text_gradient=text_gradient)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    rows, values = batch(range(12)), []
    for _ in range(6):
        loss = task.loss(model, rows)
        parts = [
            mean for key, (mean, _) in loss.metrics.items() if key.startswith((f"{name}_layer_", f"{name}_predictions"))
        ]
        values.append(float(sum(parts)))
        (loss.total / loss.num_targets).backward()
        assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
        optimizer.step()
        optimizer.zero_grad()
    assert values[-1] < values[0]
    assert len(parts) == (1 if name == "kl" else 2)


@pytest.mark.parametrize("name", LOSSES)
def test_rows_without_transcript_take_part_in_cross_entropy_only(setup, name):
    task, model, batch = setup({"name": name, "weight": 1.0})
    rows = batch(range(2))
    assert not rows.source_lengths.any()
    aligned = task.loss(model, rows)
    task.selected = None
    torch.testing.assert_close(aligned.total, task.loss(model, rows).total)
    aligned.total.backward()
    weights = {key: weight for key, (_, weight) in aligned.metrics.items() if key.startswith((f"{name}_", "aligned"))}
    assert (weights.pop(f"{name}_weight"), weights.pop("aligned_rows")) == (1, None)
    assert weights
    assert not any(weights.values()), "a mean over no row counts"
    assert aligned.metrics["aligned_rows"][0] == 0


@pytest.mark.parametrize("name", LOSSES)
def test_mixed_precision_gives_nearly_the_same_loss(setup, name):
    task, model, batch = setup({"name": name, "weight": 1.0}, text_gradient=True)
    rows = batch(range(12))
    exact = task.loss(model, rows)
    with torch.autocast("cpu", torch.bfloat16):
        low = task.loss(model, rows)
    low.total.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
    for key, (mean, _) in exact.metrics.items():
        if key.startswith((f"{name}_layer_", f"{name}_predictions")):
            torch.testing.assert_close(low.metrics[key][0], mean, rtol=0.1, atol=0.02)


def test_predictions_are_compared_once_whatever_the_layers(setup):
    task, model, batch = setup({"name": "kl", "weight": 2.0})
    rows = batch(range(12))
    values = []
    for layers in (BOTH, SelectedLayers((2,), (1.0,), "")):
        task.selected = layers
        values.append(task.loss(model, rows))
    torch.testing.assert_close(values[0].total, values[1].total)
    assert set(values[0].metrics) == {"nll", "kl_predictions", "kl_weight", "aligned_rows"}
    task.selected = None
    ce = task.loss(model, rows).total
    mean, weight = values[0].metrics["kl_predictions"]
    assert weight == 10
    assert (values[0].total - ce) > 0
    assert mean > 0
    out = model(rows, ForwardRequest(divergences=task.alignment.divergences))
    assert out.speech == ()
    torch.testing.assert_close(values[0].total - ce, 2 * out.divergences[0].sum())


def test_predictions_and_states_together(setup):
    nodes = [{"name": "kl", "weight": 1.0}, {"name": "cosine", "weight": 1.0}, {"name": "ctc", "weight": 1.0}]
    task, model, batch = setup(*nodes)
    rows = batch(range(12))
    total = task.loss(model, rows)
    parts = []
    for node in nodes:
        single, _, _ = setup(node)
        parts.append(single.loss(model, rows).total - total.metrics["nll"][0] * total.num_targets)
    ce = total.metrics["nll"][0] * total.num_targets
    torch.testing.assert_close(total.total, ce + sum(parts), rtol=1e-4, atol=1e-3)
    names = {"kl_predictions", "cosine_layer_0", "cosine_layer_1", "ctc_layer_0", "ctc_infeasible"}
    assert names <= set(total.metrics)


def test_a_third_partys_loss_works(setup, clean_registry):
    """No options and no attributes: it compares states, row by row."""

    @register("alignment_loss", "norms")
    class Norms(AlignmentLoss):
        """Difference of the mean norms."""

        def __call__(self, states, context, *, detach_text=True):
            means = [z.float().norm(dim=-1).mean(1) for z in (states.speech, states.text)]
            taken = states.text_lengths > 0
            return AlignmentResult((means[0] - means[1]).square() * taken, {})

    task, model, batch = setup({"name": "norms", "weight": 1.0})
    assert task.loss(model, batch(range(12))).metrics["norms_layer_0"][0] > 0


def test_a_loss_that_is_none_is_named(setup, clean_registry):
    @register("alignment_loss", "plain")
    class Plain:
        """Callable, but it says nothing about itself."""

    with pytest.raises(ConfigError, match=r"alignment\[0\]\.name: Plain does not derive from AlignmentLoss"):
        setup({"name": "plain"})


@pytest.mark.parametrize("name", LOSSES)
def test_a_nan_recording_shows_in_the_loss_and_raises_nothing(setup, name):
    """What stops the training is the gradient norm: it knows the rows, a loss does not."""
    task, model, batch = setup({"name": name, "weight": 1.0})
    rows = batch(range(12))
    rows.audio[5, 0] = torch.nan
    assert not task.loss(model, rows).total.isfinite()


ALONE = {"translation_weight": 0}
FROZEN = {
    "llm": {"name": "transformer_lm", "tuning": "frozen", "config": {"model_dim": 16, "num_layers": 2, "num_heads": 2}}
}


@pytest.mark.parametrize(
    ("losses", "changes", "skips"),
    [
        (["ot"], {}, False),
        (["ot"], ALONE, True),
        (["ot"], ALONE | {"mt_weight": 0.5}, False),
        (["ot", "kl"], ALONE, False),
        (["kl"], ALONE, False),
        (["ot"], ALONE | FROZEN, False),
        (["ot"], ALONE | {"freeze_params": ["llm"]}, False),
    ],
)
@pytest.mark.parametrize("rows", [range(12), range(2)], ids=["rows", "without transcripts"])
def test_the_task_says_where_parameters_go_without_a_gradient(setup, losses, changes, skips, rows):
    """Several processes rely on it."""
    task, model, batch = setup(*({"name": name} for name in losses), **changes)
    task.select_trainable(model)
    task.selected = SelectedLayers((1,), (1.0,), "")
    task.loss(model, batch(rows)).total.backward()
    assert any(p.requires_grad and p.grad is None for p in model.parameters()) == skips
    assert task.skips_parameters == skips
