"""Contracts of kind ``task``, on which the engine relies. No task is imported here."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from aista.modules.llms.base import GenerationConfig
from aista.testing.contracts import contract, dependencies
from aista.testing.dummies import DummyFeature, DummyTokenizer
from aista.testing.tensors import assert_trainable, fill_padding, ramp
from aista.types import SpeechBatch

FEATURE, TOKENIZER = DummyFeature(), DummyTokenizer()
TRANSCRIPTS = ("red house", "one two", "a")
TRANSLATIONS = ("maison rouge", "un deux", "une")
dependencies("task", {"tokenizer": TOKENIZER, "feature": FEATURE})


@contract("task")
def check_options(task: Any) -> None:
    """It has default metrics and states whether it uses audio; its options have ``freeze_params``."""
    assert isinstance(task.uses_audio, bool), f"uses_audio must be true or false, got {task.uses_audio!r}"
    assert task.default_metrics, "default_metrics is empty, so evaluation would score nothing"
    assert hasattr(task.config, "freeze_params"), "the options must have freeze_params, a tuple of patterns"


@contract("task")
def check_loss(task: Any) -> None:
    """The loss is a finite scalar with a positive count; each metric has a mean and a weight, or is a sum."""
    loss = task.loss(_model(task), speech_batch(task))
    assert loss.total.dim() == 0, f"total must be a scalar, got the shape {list(loss.total.shape)}"
    assert math.isfinite(float(loss.total.detach())), "total must be finite"
    assert loss.num_targets > 0, f"num_targets must be above 0, got {loss.num_targets}"
    for name, (mean, weight) in loss.metrics.items():
        assert not mean.requires_grad, f"metric {name!r} must be detached"
        assert math.isfinite(float(mean)), f"metric {name!r} must be finite, got {float(mean)}"
        is_weight = weight is None or bool(weight >= 0)
        assert is_weight, f"metric {name!r} must have a weight of at least 0, or None for a sum, got {weight}"


@contract("task")
def check_sums(task: Any) -> None:
    """Loss and count are sums over rows, so that micro-batches and processes change nothing."""
    model, batch = _model(task), speech_batch(task)
    with torch.no_grad():
        whole = task.loss(model, batch)
        rows = [task.loss(model, speech_batch(task, rows=(row,))) for row in range(len(batch))]
    total = float(sum(row.total for row in rows))
    expected = float(whole.total)
    close = abs(total - expected) <= 1e-3 * max(1.0, abs(expected))
    assert close, f"the losses of single rows add up to {total:.5f}, the batch has {expected:.5f}"
    count = sum(row.num_targets for row in rows)
    assert count == whole.num_targets, f"single rows have {count} targets, the batch has {whole.num_targets}"


@contract("task")
def check_padding(task: Any) -> None:
    """The content of the padding of audio and tokens never matters."""
    model, batch = _model(task), speech_batch(task)
    dirty = speech_batch(task, garbage=5)
    with torch.no_grad():
        expected, actual = float(task.loss(model, batch).total), float(task.loss(model, dirty).total)
    close = abs(actual - expected) <= 1e-3 * max(1.0, abs(expected))
    assert close, f"with other padding the loss is {actual:.5f} in place of {expected:.5f}"


@contract("task")
def check_gradients(task: Any) -> None:
    """Every trainable parameter of the model gets a finite gradient."""
    model = _model(task)
    assert_trainable(model, task.loss(model, speech_batch(task)).total)


@contract("task")
def check_decode(task: Any) -> None:
    """One text per row, the same in any batch, to be scored against one reference per row."""
    model, batch = _model(task), speech_batch(task)
    generation = GenerationConfig(beam_size=2, max_new_tokens=5)
    for training in (True, False):
        model.train(training)
        texts = task.decode(model, batch, generation)
        assert model.training == training, "decode must restore the model's train or eval mode"
    fits = len(texts) == len(batch) and all(isinstance(text, str) for text in texts)
    assert fits, f"decode must give {len(batch)} texts, got {texts!r}"
    references = task.references(batch)
    assert len(references) == len(batch), f"expects {len(batch)} references, got {len(references)}"
    for row, text in enumerate(texts):
        (alone,) = task.decode(model, speech_batch(task, rows=(row,)), generation)
        assert alone == text, f"row {row} decodes to {text!r} in a batch and to {alone!r} alone"


@contract("task")
def check_states(task: Any) -> None:
    """With ``takes_states``, a batch of encoder states gives the result of its audio, without running the encoder."""
    if not getattr(task, "takes_states", False):
        return
    model, batch = _model(task), speech_batch(task)
    generation = GenerationConfig(beam_size=2, max_new_tokens=5)
    with torch.no_grad():
        states, lengths = model.get_submodule("encoder")(batch.audio, batch.audio_lengths)
        encoded = replace(batch, audio=states, audio_lengths=lengths, encoded=True)
        expected, texts = float(task.loss(model, batch).total), task.decode(model, batch, generation)
        hook = model.get_submodule("encoder").register_forward_pre_hook(_forbid)
        actual, again = float(task.loss(model, encoded).total), task.decode(model, encoded, generation)
        hook.remove()
    close = abs(actual - expected) <= 1e-3 * max(1.0, abs(expected))
    assert close, f"from encoder states the loss is {actual:.5f} in place of {expected:.5f}"
    assert again == texts, f"encoder states decode to {again!r}, their audio to {texts!r}"


def speech_batch(task: Any, *, rows: tuple[int, ...] = (0, 1, 2), garbage: int = 0) -> SpeechBatch:
    """A batch of made-up rows; its audio is empty where the task uses none."""
    frames = torch.tensor([96, 80, 64])
    audio, lengths = torch.zeros(3, 0), torch.zeros(3, dtype=torch.long)
    if task.uses_audio:
        audio, lengths = fill_padding(ramp(3, 96, FEATURE.dim), frames, float(garbage)), frames
        audio = audio[list(rows), : int(lengths[list(rows)].max())]
    else:
        audio = audio[list(rows)]
    pad = garbage or TOKENIZER.pad_id
    source, source_lengths = _tokens([TRANSCRIPTS[row] for row in rows], pad)
    target, target_lengths = _tokens([TRANSLATIONS[row] for row in rows], pad)
    return SpeechBatch(
        ids=tuple(f"row{row}" for row in rows),
        audio=audio,
        audio_lengths=lengths[list(rows)],
        source=source,
        source_lengths=source_lengths,
        target=target,
        target_lengths=target_lengths,
        source_text=tuple(TRANSCRIPTS[row] for row in rows),
        target_text=tuple(TRANSLATIONS[row] for row in rows),
    )


def _model(task: Any) -> nn.Module:
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        model = task.build_model()
    assert isinstance(model, nn.Module), f"build_model must give an nn.Module, got {type(model).__name__}"
    return model.eval()


def _forbid(*_: object) -> None:
    raise AssertionError("the encoder runs on a batch of encoder states")


def _tokens(texts: list[str], pad: int) -> tuple[Tensor, Tensor]:
    ids = [torch.tensor(TOKENIZER.encode(text)) for text in texts]
    return nn.utils.rnn.pad_sequence(ids, batch_first=True, padding_value=pad), torch.tensor([len(row) for row in ids])
