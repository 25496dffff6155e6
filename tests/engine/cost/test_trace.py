"""Steps run on shapes alone, against PyTorch's counter on real steps, closed forms, and what autograd keeps."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from aista.engine.cost.meter import FORMULAS, REST, Operations, StepMeter
from aista.engine.cost.shapes import Shapes
from aista.engine.cost.trace import LOSSES, BatchSizes, Tracer
from aista.engine.training.blocks import apply_activation_checkpointing
from aista.errors import RunError
from aista.modules import sliced_nll
from tests.modules.dummies import build_llm

from .configs import prepare, tiny

VARIANTS = {
    "full": [],
    "frozen llm": ["llm.tuning=frozen"],
    "lora": ["llm.tuning={name: lora, config: {r: 4}}"],
    "CE only": ["alignment=[]"],
    "lora, CE only": ["llm.tuning={name: lora, config: {r: 4}}", "alignment=[]"],
    "lora, frozen encoder": ["llm.tuning={name: lora, config: {r: 4}}", "encoder.tuning=frozen"],
    "two blocks of the encoder, mt": ["encoder.config.num_layers=2", "freeze_params=[adapter]", "mt_weight=0.5"],
    "text gradient": ["text_gradient=true"],
    "bfloat16": ["trainer.mixed_precision=bfloat16"],
    "predictions": ["alignment=[{name: kl}]"],
    "vocabulary": ["alignment=[{name: ctc}]"],
}


def sizes_of(batch):
    lengths = (batch.audio_lengths, batch.source_lengths, batch.target_lengths)
    return BatchSizes(*(tuple(values.tolist()) for values in lengths))


def count(task, model, batch, *, bfloat16=False):
    """Forward and backward operations of a real step, by PyTorch's own counter."""
    with FlopCounterMode(display=False, custom_mapping=dict(FORMULAS)) as counter:
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            loss = task.loss(model, batch)
        forward = counter.get_total_flops()
        loss.total.backward()
        return forward, counter.get_total_flops() - forward


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("kind", ["native", "hugging face"])
def test_operations_are_those_of_a_real_step(tmp_path, corpus, llama, kind, variant):
    overrides = VARIANTS[variant]
    aligned = "alignment=[]" not in overrides
    task, model, split = prepare(tiny(tmp_path, corpus, llama, *overrides, kind=kind))
    batch = split.dataset.batch(range(8), 0)
    bfloat16 = variant == "bfloat16"
    forward, backward = count(task, model, batch, bfloat16=bfloat16)
    tracer = Tracer(task, model, bfloat16=bfloat16, on_gpu=False)
    traced = tracer.trace(sizes_of(batch), (0, 1) if aligned else None)
    total = traced.total
    # How often Sinkhorn iterates depends on the states: the losses' own share may differ, nothing else.
    losses = traced.operations.get(LOSSES, Operations())
    slack = 0.1 * losses.total
    assert total.forward == pytest.approx(forward, rel=1e-12, abs=slack)
    assert total.backward + total.recomputed == pytest.approx(backward, rel=1e-12, abs=slack)
    assert sum(traced.by_type.values()) == total.total
    assert (losses.total > 0) == (aligned and variant != "predictions")
    assert losses.total < 0.2 * total.total


def test_a_gpu_computes_the_padding_too(tmp_path, corpus, llama):
    task, model, split = prepare(tiny(tmp_path, corpus, llama, "alignment=[]", kind="hugging face"))
    batch = split.dataset.batch(range(8), 0)
    without = sum(count(task, model, batch))
    model.llm.joins_rows = False
    padded = sum(count(task, model, batch))
    model.llm.joins_rows = True
    assert Tracer(task, model, bfloat16=False).trace(sizes_of(batch)).total.total == pytest.approx(padded, rel=1e-12)
    assert padded > 1.05 * without


def test_closed_forms(tmp_path, corpus, llama):
    """``2 x weights x positions`` and ``4 x positions^2 x width``; frozen blocks pass gradients on and make none."""
    task, model, _ = prepare(tiny(tmp_path, corpus, llama, "llm.tuning=frozen", "alignment=[]", kind="hugging face"))
    weights = sum(p.numel() for p in model.llm.layers.parameters() if p.dim() == 2)
    rows, sizes = 3, BatchSizes((100,) * 3, (5,) * 3, (6,) * 3)
    operations = Tracer(task, model, bfloat16=False).trace(sizes).operations
    positions = int(model.speech_positions(torch.tensor([100]))) + 6 + model.prompt.num_positions
    products, attention = 2 * rows * positions * weights, 2 * 4 * rows * positions**2 * 16
    assert operations["llm", 1].forward == pytest.approx(products + attention, rel=1e-3)  # rotary angles besides
    assert operations["llm", 1].backward == products + 2.5 * attention
    head = 2 * 64 * 16 * (sum(sizes.target) + rows)  # target tokens and EOS alone are projected
    assert operations[REST, 1] == Operations(head, head, 0)
    adapter = 2 * rows * 25 * 16 * 16
    assert operations["adapter", 1] == Operations(adapter, 2 * adapter, 0)


@pytest.mark.parametrize("tuning", ["full", "frozen"])
@pytest.mark.parametrize("kind", ["native", "hugging face"])
def test_logits_in_slices(tmp_path, corpus, llama, monkeypatch, kind, tuning):
    """As a real step has it: a trained projection is recomputed, a frozen one not, and a slice of logits exists."""
    overrides = (f"llm.tuning={tuning}", "alignment=[]")
    task, model, split = prepare(tiny(tmp_path, corpus, llama, *overrides, kind=kind))
    batch = split.dataset.batch(range(8), 0)
    vocabulary = model.llm.project(torch.zeros(1, model.llm.model_dim)).size(-1)
    monkeypatch.setattr(sliced_nll, "MOST_LOGITS", 4 * vocabulary * 3)
    forward, backward = count(task, model, batch)
    traced = Tracer(task, model, bfloat16=False, on_gpu=False).trace(sizes_of(batch))
    assert traced.total.forward + traced.total.backward + traced.total.recomputed == forward + backward
    head = 2 * vocabulary * model.llm.model_dim * int((batch.target_lengths + 1).sum())
    expected = Operations(head, 2 * head, head) if tuning == "full" else Operations(head, head, 0)
    assert traced.operations[REST, 1] == expected


def test_logits_of_a_large_vocabulary_take_the_memory_of_a_slice(monkeypatch):
    rows, width, vocabulary, size = 200, 8, 5000, 20
    peaks = {}
    for tuning in ("frozen", "trained"):
        for most in (1 << 40, 4 * vocabulary * size):
            monkeypatch.setattr(sliced_nll, "MOST_LOGITS", most)
            model = nn.Module()
            model.llm = build_llm(vocabulary, model_dim=width, num_layers=1, max_positions=rows + 10)
            model.llm.embedding.requires_grad_(tuning == "trained")
            shapes = Shapes()
            shapes.convert(model)
            meter = StepMeter(model, [])
            states, labels = shapes.empty(rows, width).requires_grad_(), torch.zeros(rows, dtype=torch.long)
            with meter.measuring():
                torch.autograd.backward(sliced_nll.sliced_nll(model.llm, states, labels).sum())
            peaks[tuning, most > 1 << 30] = meter.peak
    for tuning, weights in (("frozen", 0), ("trained", 2)):
        table = 4 * vocabulary * width
        assert 4 * vocabulary * size < peaks[tuning, False] - weights * table < 3 * 4 * vocabulary * size
        assert peaks[tuning, True] > 3 * 4 * vocabulary * rows


def test_lora_makes_no_gradients_of_the_weights_below_it(tmp_path, corpus, llama):
    def operations(*tuning):
        task, model, _ = prepare(tiny(tmp_path, corpus, llama, *tuning, "alignment=[]", kind="hugging face"))
        sizes = BatchSizes((100,) * 3, (5,) * 3, (6,) * 3)
        return Tracer(task, model, bfloat16=False).trace(sizes).operations["llm", 1]

    full, lora = operations(), operations("llm.tuning={name: lora, config: {r: 2}}")
    frozen = operations("llm.tuning=frozen")
    assert frozen.forward == full.forward < lora.forward
    # The updates alone have gradients of states and of weights.
    assert lora.backward == frozen.backward + 2 * (lora.forward - frozen.forward)
    # Forward is products + attention, backward of frozen blocks products + 2.5 x attention; gradients of weights are
    # the products once more. Rotary angles are in forward besides.
    products = (2.5 * frozen.forward - frozen.backward) / 1.5
    assert full.backward - frozen.backward == pytest.approx(products, rel=2e-3)


def test_the_text_branch_ends_at_the_deepest_aligned_layer_and_has_no_backward(tmp_path, corpus, llama):
    task, model, _ = prepare(tiny(tmp_path, corpus, llama, kind="hugging face"))
    tracer = Tracer(task, model, bfloat16=False)
    sizes = BatchSizes((100,) * 3, (5,) * 3, (6,) * 3)
    one, two = (tracer.trace(sizes, layers).operations["llm", 2] for layers in ((0, 1), (0, 2)))
    assert one.backward == two.backward == 0
    assert 0 < one.forward == pytest.approx(two.forward / 2, rel=0.02)
    assert ("llm", 2) not in tracer.trace(sizes).operations


def test_activation_checkpointing_trades_memory_for_operations(tmp_path, corpus, llama):
    overrides = ["encoder.config.num_layers=4", "llm.config.num_layers=8"]
    task, model, _ = prepare(tiny(tmp_path, corpus, llama, *overrides))
    tracer = Tracer(task, model, bfloat16=False)
    sizes = BatchSizes((400,) * 8, (5,) * 8, (6,) * 8)
    plain = tracer.trace(sizes, (0, 1))
    apply_activation_checkpointing(model, 1)
    saving = tracer.trace(sizes, (0, 1))
    assert plain.total.recomputed == 0
    assert saving.total.recomputed > 0.8 * (plain.operations["llm", 1].forward + plain.operations["encoder", 1].forward)
    assert saving.total[:2] == plain.total[:2]
    assert saving.peak < 0.5 * plain.peak


def test_memory_is_what_autograd_keeps(tmp_path, corpus, llama):
    """The peak of a stack of layers: their inputs, and one gradient beside the last of them."""
    width, rows = 64, 100
    model = nn.Sequential(*(nn.Sequential(nn.Linear(width, width, bias=False), nn.Tanh()) for _ in range(5)))

    class Plain:
        tokenizer = prepare(tiny(tmp_path, corpus, llama))[0].tokenizer
        feature = type("Feature", (), {"dim": width})
        prompts = None

        def loss(self, model, batch):
            total = model(batch.audio).sum()
            return type("Loss", (), {"total": total, "num_targets": 1})

    trace = Tracer(Plain(), model, bfloat16=False).trace(BatchSizes((rows,), (1,), (1,)))
    state, gradient = rows * width * 4, width * width * 4
    # Five outputs of Tanh; then the gradients on both sides of the last one, or those of a product beside it.
    assert trace.peak_without_gradients == pytest.approx(7 * state, abs=gradient)
    assert trace.gradients_at_peak <= 5 * gradient


def test_what_depends_on_numbers_is_refused(tmp_path, corpus, llama):
    task, model, _ = prepare(tiny(tmp_path, corpus, llama, "adapter={name: cif}"))
    with pytest.raises(RunError, match="cannot be run on shapes alone"):
        Tracer(task, model, bfloat16=False).trace(BatchSizes((100,), (5,), (6,)), (0, 1))


def test_a_share_of_a_batch():
    sizes = BatchSizes((1, 2, 3), (4, 5, 6), (7, 8, 9))
    assert sizes.share(1, 2) == BatchSizes((2,), (5,), (8,))
    assert sizes.share(0, 2) == BatchSizes((1, 3), (4, 6), (7, 9))
