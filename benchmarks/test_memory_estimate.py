"""The memory that `aista train --dry-run` predicts, against the peak of a process that trains.

    OMP_NUM_THREADS=1 pytest benchmarks/test_memory_estimate.py -s

Each variant takes three steps (forward, backward, AdamW) on the CPU in a process of its own. Measured is the peak
resident memory less what the process held before it built the model. glibc is told to give every block of 64 KiB and
more back at once: its default keeps freed tensors, which a GPU's allocator would use again.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import transformers

from aista.data.features.log_mel import LogMel, LogMelConfig
from aista.engine.cost.memory_estimate import estimate_memory, weigh
from aista.engine.cost.trace import BatchSizes, Tracer, make_batch
from aista.engine.training.blocks import apply_activation_checkpointing
from aista.environment import peak_mib
from aista.schema import structure
from aista.selection.base import SelectedLayers
from aista.tasks.speech_translation import SpeechTranslationConfig, SpeechTranslationTask
from benchmarks.workload import Vocabulary

MIB = 2**20
NATIVE = {"name": "transformer_lm", "config": {"model_dim": 256, "num_layers": 6, "dropout": 0.1}}
LORA = {"name": "lora", "config": {"r": 8}}
VARIANTS: dict[str, dict[str, object]] = {
    "all trained": {"llm": NATIVE},
    "all trained, wide and short": {
        "llm": {"name": "transformer_lm", "config": {"model_dim": 1024, "num_layers": 4, "num_heads": 8}},
        "rows": 4,
    },
    "activation checkpointing": {"llm": NATIVE, "checkpointing": True},
    "bfloat16 autocast": {"llm": NATIVE, "bfloat16": True},
    "LoRA on a Hugging Face LLM, frozen encoder": {"llm": "llama", "tuning": LORA, "encoder": "frozen"},
    "the same with activation checkpointing": {
        "llm": "llama",
        "tuning": LORA,
        "encoder": "frozen",
        "checkpointing": True,
    },
    "Gemma's vocabulary, LoRA, frozen encoder": {"llm": "gemma", "tuning": LORA, "encoder": "frozen"},
    "Gemma's vocabulary, all trained": {"llm": "gemma", "tuning": "full"},
}


def make(name: str, folder: Path) -> tuple[SpeechTranslationTask, torch.nn.Module, LogMel, BatchSizes]:
    """The variant's task, its model, the encoder's feature and the lengths of its rows."""
    torch.manual_seed(0)
    variant = VARIANTS[name]
    llm = variant["llm"]
    if isinstance(llm, str):
        llm = {"name": "hf_causal_lm", "config": {"path": str(folder / llm)}, "tuning": variant["tuning"]}
    encoder = {
        "name": "conformer",
        "config": {"model_dim": 128, "num_layers": 3, "num_heads": 4, "ffn_dim": 256, "subsampling": 4},
        "tuning": variant.get("encoder", "full"),
    }
    config = structure(
        SpeechTranslationConfig, {"encoder": encoder, "adapter": "linear", "llm": llm, "alignment": ["ot"]}
    )
    feature = LogMel(LogMelConfig(num_mels=80))
    task = SpeechTranslationTask(config, tokenizer=Vocabulary(), feature=feature)
    task.selected = SelectedLayers((0, 1), (0.5, 0.5), "")
    model = task.build_model()
    task.select_trainable(model)
    if variant.get("checkpointing"):
        apply_activation_checkpointing(model, 1)
    rows = int(str(variant.get("rows", 16)))
    sizes = BatchSizes(tuple(range(1000, 1000 + rows)), tuple(range(20, 20 + rows)), tuple(range(24, 24 + rows)))
    return task, model, feature, sizes


def make_llms(folder: Path) -> None:
    """A Llama, and a narrow Gemma 3 with the vocabulary of a whole one."""
    llama = transformers.LlamaConfig(
        vocab_size=8000,
        hidden_size=384,
        intermediate_size=1024,
        num_hidden_layers=6,
        num_attention_heads=6,
        num_key_value_heads=2,
    )
    gemma = transformers.Gemma3TextConfig(
        vocab_size=262144,
        hidden_size=64,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=32,
    )
    transformers.LlamaForCausalLM(llama).save_pretrained(folder / "llama")
    transformers.Gemma3ForCausalLM(gemma).save_pretrained(folder / "gemma")


def steps(name: str, folder: Path, rows_of_batch: BatchSizes | None = None) -> float:
    """MiB that three training steps add to this process; of these rows, or of the variant's."""
    torch.set_num_threads(1)
    variant, before = VARIANTS[name], 0.0
    for rows in (1, None):  # one short row first: it loads what only a first step loads
        before = _resident_mib()
        task, model, feature, sizes = make(name, folder)
        sizes = (rows_of_batch or sizes) if rows is None else BatchSizes((100,), (5,), (5,))
        audio = torch.randn(len(sizes.inputs), max(sizes.inputs), feature.dim)
        batch = make_batch(sizes, audio, task.tokenizer)
        model.train()
        optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4)
        for _ in range(1 if rows else 3):
            with torch.autocast("cpu", torch.bfloat16, enabled=bool(variant.get("bfloat16"))):
                loss = task.loss(model, batch)
            (loss.total / loss.num_targets).backward()
            optimizer.step()
            optimizer.zero_grad()
            del loss
        del task, model, batch, optimizer, audio
    return peak_mib() - before


def estimate(name: str, folder: Path) -> float:
    """MiB that the arithmetic gives: weights, AdamW's state, and the peak of a step, its input included."""
    task, model, feature, sizes = make(name, folder)
    weights = weigh(model)
    bfloat16 = bool(VARIANTS[name].get("bfloat16"))
    trace = Tracer(task, model, bfloat16=bfloat16, on_gpu=False).trace(sizes, (0, 1))
    audio = len(sizes.inputs) * max(sizes.inputs) * feature.dim * 4
    return (estimate_memory(weights, trace).total + audio) / MIB


def measure(name: str, folder: Path, rows_of_batch: BatchSizes | None = None) -> float:
    """``steps`` in a process of its own."""
    arguments = f"{name!r}, Path({str(folder)!r}), {rows_of_batch!r}"
    code = f"from benchmarks.test_memory_estimate import *; print(steps({arguments}))"
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    return float(result.stdout.split()[-1])


@pytest.mark.parametrize("name", VARIANTS)
def test_estimate(name, tmp_path):
    """Prints the estimate, the measurement and the error; no threshold, see docs/cost.md."""
    make_llms(tmp_path)
    measured, estimated = measure(name, tmp_path), estimate(name, tmp_path)
    print(f"\n{name}: estimate {estimated:.0f} MiB, measured {measured:.0f} MiB, error {estimated / measured - 1:+.1%}")


def _resident_mib() -> float:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.split("VmRSS:")[1].split()[0]) / 1024
