import dataclasses

import pytest
import torch

from aista.data.dataset import SpeechTextDataset
from aista.data.manifest import read_manifest
from aista.losses.base import AlignmentContext
from aista.modules.lsm import ForwardRequest
from aista.registry import build
from aista.schema import resolve
from aista.selection.base import SelectedLayers
from aista.tasks.alignment_terms import AlignmentTerms
from aista.tasks.experiment import load_experiment
from aista.tasks.preflight import build_task
from tests.tiny import make_corpus, tiny_config, write_config

BOTH = SelectedLayers((0, 1), (0.25, 0.75), "")


@pytest.fixture
def setup(tmp_path):
    """A task without dropout, its model, and a function from row numbers to a batch; rows 0-2 lack transcripts."""
    corpus = make_corpus(tmp_path / "corpus", num_train=12, untranscribed=3)
    options = tiny_config(corpus)
    options["encoder"]["config"]["dropout"] = options["llm"].setdefault("config", {})["dropout"] = 0.0
    experiment = load_experiment(write_config(tmp_path / "config.yaml", options))
    task = build_task(experiment)
    dataset = SpeechTextDataset(read_manifest(corpus / "train.tsv").rows, corpus, task.feature, task.tokenizer)
    return task, task.build_model(), lambda rows: dataset.batch(rows, 0)


def test_a_ten_line_loop_trains_without_the_engine(setup):
    task, model, batch = setup
    task.selected = BOTH
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(12):
        loss = task.loss(model, batch(range(12)))
        (loss.total / loss.num_targets).backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.total.detach()) / loss.num_targets)
    assert losses[-1] < 0.7 * losses[0]


def test_the_loss_is_a_sum_over_rows(setup):
    """So that it is the same for any number of processes or micro-batches."""
    task, model, batch = setup
    task.selected = BOTH
    whole = task.loss(model, batch(range(12)))
    parts = [task.loss(model, batch(rows)) for rows in (range(3), range(3, 7), range(7, 12))]
    torch.testing.assert_close(sum(part.total for part in parts), whole.total, rtol=1e-5, atol=1e-4)
    assert sum(part.num_targets for part in parts) == whole.num_targets


def test_the_loss_is_cross_entropy_plus_weighted_alignment(setup):
    task, model, batch = setup
    rows = batch(range(3, 9))
    plain = task.loss(model, rows).total
    task.selected = BOTH
    out = model(rows, ForwardRequest(capture=(0, 1)))
    (term,) = task.alignment.terms
    expected = sum(
        0.5 * weight * (term.loss(out.layer(index), AlignmentContext()).per_utterance_B * out.num_targets).sum()
        for index, weight in enumerate(BOTH.weights)
    )
    torch.testing.assert_close(task.loss(model, rows).total - plain, expected, rtol=1e-4, atol=1e-4)


def test_rows_without_transcript_take_part_in_cross_entropy_only(setup):
    task, model, batch = setup
    plain = task.loss(model, batch(range(3))).total
    task.selected = BOTH
    aligned = task.loss(model, batch(range(3)))
    torch.testing.assert_close(aligned.total, plain)
    assert aligned.metrics["ot_layer_0"][1] == 0
    aligned.total.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_alignment_moves_the_speech_side_and_leaves_the_text_side_alone(setup):
    task, model, batch = setup
    task.selected = SelectedLayers((0,), (1.0,), "")
    out = model(batch(range(3, 9)), ForwardRequest(capture=(0,)))
    (term,) = task.alignment.terms
    term.loss(out.layer(0), AlignmentContext()).per_utterance_B.sum().backward()
    assert model.adapter.projection.weight.grad.abs().sum() > 0
    assert not model.llm.embedding.weight.grad.any()


def test_decoding_a_batch_of_8_equals_8_batches_of_1(setup):
    task, model, batch = setup
    model.eval()
    generation = build_generation(beam_size=4)
    together = task.decode(model, batch(range(8)), generation)
    alone = [task.decode(model, batch([row]), generation)[0] for row in range(8)]
    assert together == alone


def build_generation(**options):
    from aista.modules.llms.base import GenerationConfig

    return GenerationConfig(max_new_tokens=10, **options)


def test_schedules_scale_their_losses_and_zero_costs_nothing(setup):
    task, model, batch = setup
    task.selected = BOTH
    rows = batch(range(3, 9))
    whole = task.loss(model, rows)
    linear = build("weight_schedule", resolve("weight_schedule", "linear"))
    terms = [dataclasses.replace(term, schedule=linear) for term in task.alignment.terms]
    task.alignment = AlignmentTerms(terms, text_gradient=False)
    task.start_step(5, 20)
    part = task.loss(model, rows)
    task.start_step(20, 20)
    none = task.loss(model, rows)
    assert [float(loss.metrics["ot_weight"][0]) for loss in (whole, part, none)] == [0.5, 0.375, 0]
    torch.testing.assert_close(part.total - none.total, 0.75 * (whole.total - none.total))
    assert "ot_layer_0" in part.metrics
    assert "ot_layer_0" not in none.metrics
    torch.testing.assert_close(none.metrics["nll"][0] * none.num_targets, none.total.detach())


def test_alignment_alone_has_the_gradients_of_alignment_beside_cross_entropy(setup):
    """Of a sum, so those of the whole loss less those of cross-entropy; the LLM behind the last layer gets none."""
    task, model, batch = setup
    rows = batch(range(12))

    def gradients(weight, selected):
        task.config = dataclasses.replace(task.config, translation_weight=weight)
        task.selected = selected
        model.zero_grad(set_to_none=True)
        loss = task.loss(model, rows)
        loss.total.backward()
        return loss, {name: p.grad for name, p in model.named_parameters() if p.grad is not None}

    _, both = gradients(1.0, BOTH)
    _, plain = gradients(1.0, None)
    alone, found = gradients(0.0, BOTH)
    assert "nll" not in alone.metrics
    assert alone.metrics.keys() >= {"ot_layer_0", "ot_layer_1"}
    assert {name.split(".")[0] for name in found} >= {"encoder", "adapter"}
    assert found.keys() < both.keys()
    for name, gradient in both.items():
        expected = gradient - plain[name]
        torch.testing.assert_close(found.get(name, torch.zeros_like(expected)), expected, rtol=1e-4, atol=1e-4)


def test_alignment_alone_still_shows_the_nll_where_it_does_not_train(setup):
    task, model, batch = setup
    task.config = dataclasses.replace(task.config, translation_weight=0.0)
    task.selected = BOTH
    model.eval()
    assert "nll" in task.loss(model, batch(range(12))).metrics
    model.train()
    task.selected = None  # no layers yet
    loss = task.loss(model, batch(range(12)))
    assert "nll" in loss.metrics
    assert float(loss.total.detach()) == 0


def without_translations(batch, rows):
    """The batch with the translations of these rows taken away."""
    lengths = batch.target_lengths.clone()
    lengths[list(rows)] = 0
    return dataclasses.replace(batch, target_lengths=lengths)


def test_alignment_alone_counts_a_row_without_translation_as_its_transcript(setup):
    """The loss is the mean of the rows' alignment, weighted by tokens, whichever texts a row has."""
    task, model, batch = setup
    task.config = dataclasses.replace(task.config, translation_weight=0.0)
    task.selected = BOTH
    whole = batch(range(4, 12))
    rows = without_translations(whole, range(3))
    weights = torch.cat([whole.source_lengths[:3], whole.target_lengths[3:]]) + 1
    out = model(rows, ForwardRequest(capture=(0, 1), translate=False))
    (term,) = task.alignment.terms
    layers = [term.loss(out.layer(index), AlignmentContext()).per_utterance_B for index in range(2)]
    values_B = sum(weight * layer for weight, layer in zip(BOTH.weights, layers, strict=True))
    loss = task.loss(model, rows)
    assert loss.num_targets == int(weights.sum())
    torch.testing.assert_close(loss.total / loss.num_targets, 0.5 * (weights * values_B).sum() / weights.sum())
    parts = [
        task.loss(model, without_translations(batch(part), gone))
        for part, gone in ((range(4, 6), (0, 1)), ((6,), (0,)))
    ]
    parts.append(task.loss(model, batch(range(7, 12))))
    torch.testing.assert_close(sum(part.total for part in parts), loss.total, rtol=1e-5, atol=1e-4)
    assert sum(part.num_targets for part in parts) == loss.num_targets


@pytest.mark.parametrize("mt_weight", [0.0, 0.5])
def test_the_nll_is_that_of_the_rows_with_a_translation(setup, mt_weight):
    task, model, batch = setup
    task.config = dataclasses.replace(task.config, mt_weight=mt_weight)
    model.eval()
    some = task.loss(model, batch(range(7, 12))).metrics
    rows = without_translations(batch(range(4, 12)), range(3))
    mixed = task.loss(model, rows).metrics
    for name in ("nll", "mt_nll")[: 1 + bool(mt_weight)]:
        torch.testing.assert_close(mixed[name], some[name])
    none = task.loss(model, without_translations(rows, range(8)))
    assert not {"nll", "mt_nll"} & none.metrics.keys()
    assert float(none.total.detach()) == 0


@pytest.mark.parametrize(
    ("changes", "needed"),
    [
        ({"translation_weight": 0.0}, False),
        ({}, True),
        ({"translation_weight": 0.0, "mt_weight": 0.1}, True),
        ({"translation_weight": 0.0, "alignment": [{"name": "kl"}]}, True),
    ],
)
def test_what_compares_or_predicts_translations_needs_them(tmp_path, corpus, changes, needed):
    experiment = load_experiment(write_config(tmp_path / "config.yaml", tiny_config(corpus, **changes)))
    assert build_task(experiment).needs_translations is needed


def test_nothing_to_train_on_is_an_error(setup):
    task, _, _ = setup
    with pytest.raises(ValueError, match="translation_weight 0 leaves nothing to train on"):
        dataclasses.replace(task.config, translation_weight=0.0, alignment=())
