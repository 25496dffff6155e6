"""Every adapter with blocks or losses of its own trains a speech-translation model and decodes."""

import pytest
import torch

from aista.data.dataset import SpeechTextDataset
from aista.data.manifest import read_manifest
from aista.modules.llms.base import GenerationConfig
from aista.modules.lsm import ForwardRequest
from aista.selection.base import SelectedLayers
from aista.tasks.experiment import load_experiment
from aista.tasks.preflight import build_task
from tests.tiny import make_corpus, tiny_config, write_config

ADAPTERS = {
    "transformer": {"stride": 2, "num_heads": 2, "dropout": 0.0},
    "conformer": {"stride": 2, "num_heads": 2, "kernel_size": 3, "dropout": 0.0},
    "qformer": {"num_queries": 6, "num_heads": 2, "dropout": 0.0},
    "window_qformer": {"window": 3, "num_heads": 2, "dropout": 0.0},
    "ctc_compress": {},
    "cif": {},
    "moe": {"stride": 2, "num_experts": 3},
}
LOGGED = {
    "ctc_compress": {"adapter_ctc", "adapter_positions_per_frame", "adapter_too_few_frames"},
    "cif": {"adapter_quantity", "adapter_positions_per_frame", "adapter_too_few_frames"},
    "moe": {"adapter_load_balance"},
}


@pytest.fixture(scope="module")
def untranscribed(tmp_path_factory):
    """12 rows, the first three without a transcript."""
    return make_corpus(tmp_path_factory.mktemp("tones") / "corpus", num_train=12, untranscribed=3)


@pytest.fixture(params=ADAPTERS)
def setup(request, tmp_path, untranscribed):
    """The adapter's name, its task and model without dropout, and a function from row numbers to a batch."""
    options = tiny_config(untranscribed, adapter={"name": request.param, "config": ADAPTERS[request.param]})
    options["encoder"]["config"]["dropout"] = options["llm"]["config"]["dropout"] = 0.0
    experiment = load_experiment(write_config(tmp_path / "config.yaml", options))
    task = build_task(experiment)
    task.selected = SelectedLayers((0, 1), (0.5, 0.5), "")
    rows = read_manifest(untranscribed / "train.tsv").rows
    dataset = SpeechTextDataset(rows, untranscribed, task.feature, task.tokenizer)
    torch.manual_seed(1)
    return request.param, task, task.build_model(), lambda rows: dataset.batch(rows, 0)


def test_training_learns_and_logs_the_adapters_losses(setup):
    name, task, model, batch = setup
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    rows, losses = batch(range(12)), []
    for _ in range(12):
        loss = task.loss(model, rows)
        assert {key for key in loss.metrics if key.startswith("adapter_")} == LOGGED.get(name, set())
        (loss.total / loss.num_targets).backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss)
    assert losses[-1].total < 0.8 * losses[0].total
    for key in {"adapter_ctc", "adapter_quantity"} & LOGGED.get(name, set()):
        assert losses[-1].metrics[key][0] < losses[0].metrics[key][0]
    hypotheses = task.decode(model, rows, GenerationConfig(beam_size=2, max_new_tokens=8))
    assert len(hypotheses) == 12
    assert all(isinstance(text, str) for text in hypotheses)


def test_the_loss_is_a_sum_over_rows(setup):
    """So that it is the same for any number of processes or micro-batches, in training mode too."""
    _, task, model, batch = setup
    for training in (False, True):
        model.train(training)
        whole = task.loss(model, batch(range(12)))
        parts = [task.loss(model, batch(rows)) for rows in (range(3), range(3, 7), range(7, 12))]
        torch.testing.assert_close(sum(part.total for part in parts), whole.total, rtol=1e-4, atol=1e-3)
        for key, (mean, weight) in whole.metrics.items():
            if key.startswith("adapter_"):
                found = [part.metrics[key] for part in parts if key in part.metrics]
                assert sum(count for _, count in found) == weight
                torch.testing.assert_close(sum(value * count for value, count in found) / weight, mean)


def test_the_adapters_losses_are_weighted_by_target_tokens(setup):
    name, task, model, batch = setup
    task.selected = None
    rows = batch(range(12))
    out = model(rows, ForwardRequest())
    own = sum(term.weight * (term.value * out.num_targets).sum() for term in out.terms)
    torch.testing.assert_close(task.loss(model, rows).total, out.nll.sum() + own)
    assert (name in LOGGED) == (float(torch.as_tensor(own).detach()) > 0)


def test_decoding_a_batch_equals_single_rows(setup):
    _, task, model, batch = setup
    generation = GenerationConfig(beam_size=3, max_new_tokens=8)
    together = task.decode(model, batch(range(6)), generation)
    assert together == [task.decode(model, batch([row]), generation)[0] for row in range(6)]
