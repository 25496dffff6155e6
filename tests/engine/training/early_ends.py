"""Run by two processes: trains each path on one, on two that share the model and on two that shard it.

Leaves, as JSON in ``found.json``, the largest difference of a parameter from the one process' for each path and way.
"""

import copy
import json
import tempfile
from pathlib import Path

import torch
from fairseq2.device import CPU
from fairseq2.gang import FakeGang, ProcessGroupGang, create_fsdp_gangs, create_parallel_gangs
from fairseq2.nn.ddp import to_ddp
from fairseq2.nn.fsdp import to_fsdp2
from fairseq2.nn.utils.grad import normalize_grads
from torch.distributed.tensor import DTensor

from aista.data.dataset import SpeechTextDataset
from aista.data.manifest import read_manifest
from aista.engine.training.blocks import apply_fsdp
from aista.selection.base import SelectedLayers
from aista.tasks.experiment import load_experiment
from aista.tasks.preflight import build_task
from tests.tiny import tiny_config, write_config

LORA = {"name": "lora", "config": {"r": 4, "lora_dropout": 0.0}}
LLM = {"name": "transformer_lm", "config": {"model_dim": 16, "num_layers": 2, "num_heads": 2, "dropout": 0.0}}
CTC = {"name": "ctc", "weight": 1.0}
PATHS = {
    "layer_0": ({}, [(0,)]),
    "layer_1": ({}, [(1,)]),
    "last_layer": ({}, [(2,)]),
    "other_layers": ({}, [(0,), (2,), (1,)]),
    "no_layers_yet": ({}, [None, None, (1,)]),
    "weight_falls_to_0": ({}, [(1,), (1,), "off", (1,)]),
    "text_gradient": ({"text_gradient": True}, [(1,)]),
    "ctc": ({"alignment": [CTC]}, [(1,)]),
    "infonce": ({"alignment": [{"name": "infonce"}]}, [(1,)]),
    "predictions": ({"alignment": [{"name": "kl"}]}, [(1,)]),
    "text_translation": ({"mt_weight": 0.5}, [(1,), "off"]),
    "text_translation_alone": ({"mt_weight": 0.5, "alignment": []}, [None]),
    "moe": ({"adapter": {"name": "moe", "config": {"num_experts": 4}}}, [(1,)]),
    "ctc_compress": ({"adapter": {"name": "ctc_compress"}}, [(1,)]),
    "cif": ({"adapter": {"name": "cif"}}, [(1,)]),
    "lora": ({"llm": LLM | {"tuning": LORA}}, [(1,)]),
    "frozen_llm": ({"llm": LLM | {"tuning": "frozen"}}, [(1,)]),
    "frozen_encoder": ({"freeze_params": ["encoder"]}, [(1,)]),
    "cross_entropy_too": ({"translation_weight": 1.0}, [(1,)]),
}
STEPS = 3


def prepare(folder, corpus, changes):
    options = tiny_config(corpus, **({"translation_weight": 0, "llm": LLM} | changes))
    options["encoder"]["config"]["dropout"] = 0.0
    experiment = load_experiment(write_config(folder / "config.yaml", options))
    task = build_task(experiment)
    torch.manual_seed(0)
    model = task.build_model().train()
    task.select_trainable(model)
    dataset = SpeechTextDataset(read_manifest(corpus / "train.tsv").rows, corpus, task.feature, task.tokenizer)
    return task, model, dataset


def train(task, model, dataset, layers, rank, size, gang):
    # Not Adam, which makes steps of gradients that are rounding; decay tells no gradient from one of 0.
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=0.1)
    for step in range(STEPS):
        chosen = layers[min(step, len(layers) - 1)]
        is_on = isinstance(chosen, tuple)
        task.alignment.factors = (0.0 if chosen == "off" else 1.0,) * len(task.alignment.terms)
        if chosen != "off":
            task.selected = SelectedLayers(chosen, (1 / len(chosen),) * len(chosen), "") if is_on else None
        loss = task.loss(model, dataset.batch(range(6 * step + rank, 6 * step + 6, size), 0))
        loss.total.backward()
        normalize_grads(model, gang, loss.num_targets)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    full = ((name, p.full_tensor() if isinstance(p, DTensor) else p) for name, p in model.named_parameters())
    return {name.removeprefix("module."): tensor.detach().clone() for name, tensor in full}


def compare(_, folder, corpus):
    own = Path(tempfile.mkdtemp(dir=folder))
    prepared = {path: prepare(own, corpus, changes) for path, (changes, _) in PATHS.items()}
    expected = {}  # before the processes know each other: some losses gather the rows of all
    for path, (task, bare, dataset) in prepared.items():
        expected[path] = train(task, copy.deepcopy(bare), dataset, PATHS[path][1], 0, 1, FakeGang(CPU))
    root = ProcessGroupGang.create_default_process_group(CPU)
    shared = create_parallel_gangs(root)
    sharding = create_fsdp_gangs(shared)
    found = {}
    for path, (task, bare, dataset) in prepared.items():
        models = {
            "ddp": to_ddp(copy.deepcopy(bare), shared, find_unused_parameters=task.skips_parameters),
            "fsdp": to_fsdp2(copy.deepcopy(bare), sharding, lambda m, wrap: apply_fsdp(m, "layer", wrap)),
        }
        for way, model in models.items():
            got = train(task, model, dataset, PATHS[path][1], root.rank, root.size, root)
            found[f"{path}-{way}"] = max(float((got[name] - one).abs().max()) for name, one in expected[path].items())
    if root.rank == 0:
        (folder / "found.json").write_text(json.dumps(found))
    root.close()
