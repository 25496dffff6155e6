"""The baseline for speed: speech translation written with only transformers and peft.

Speech takes the places of placeholder tokens (as in transformers' Qwen2-Audio), batches are padded on the right, labels
are -100 but for the target, and ``transformers.Trainer`` trains.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import SequentialSampler
from transformers import LogitsProcessorList, Trainer, TrainerCallback, TrainingArguments

from aista.types import length_mask
from benchmarks.pretrained import LORA, PROJECTIONS, WINDOW, Aista, Rows
from benchmarks.shapes import Folders

__all__ = ["PLAIN", "PLAIN_SHORT", "PlainModel", "collate", "plain_dataset", "train_plainly", "translate_plainly"]

PLAIN, PLAIN_SHORT = "transformers Trainer, clips padded to 30 s", "transformers Trainer, clips at their own length"
PLACEHOLDER = 60
"""Placeholder id for the speech, not used in prompt or texts."""


class PlainModel(nn.Module):
    """Whisper's encoder, a projector and a causal LM with LoRA.

    Args:
        folders: Folders with the configs of both models.
        ours: aista's model, whose weights are copied, on its device; for ``own_length`` its encoder is used itself.

    Attributes:
        own_length: False: clips are padded to the 30 s that Hugging Face's class demands, and the states of the
            padding are dropped afterwards. True: aista's encoder, which encodes clips at their own length.
    """

    def __init__(self, folders: Folders, ours: Aista) -> None:
        super().__init__()
        self.own_length = False
        self.short_encoder = [ours.model.encoder]  # in a list: not a part of this model
        configs = [transformers.AutoConfig.from_pretrained(folder) for folder in (folders.whisper, folders.llm)]
        weight = ours.model.llm.model.get_input_embeddings().weight
        with weight.device:
            self.encoder = transformers.AutoModel.from_config(configs[0], dtype=torch.float32).encoder
            self.projector = type(ours.model.adapter)(ours.adapter_config, **ours.adapter_widths)
            llm = transformers.AutoModelForCausalLM.from_config(configs[1], dtype=weight.dtype)
            self.llm = get_peft_model(llm, LoraConfig(target_modules=PROJECTIONS, **LORA))
        self.encoder.requires_grad_(False).eval()
        self._take_over_encoder(ours.model.encoder)
        self.take_over(ours)

    def take_over(self, ours: Aista) -> None:
        """Copy the weights of aista's model that are trained, and those of the language model."""
        self.projector.load_state_dict(ours.model.adapter.state_dict())
        weights = {f"base_model.model.{name}": tensor for name, tensor in ours.model.llm.model.state_dict().items()}
        self.llm.load_state_dict(weights)

    def _take_over_encoder(self, ours: Any) -> None:
        for name in ("conv1", "conv2", "layer_norm"):
            self.encoder.get_submodule(name).load_state_dict(ours.get_submodule(name).state_dict())
        self.encoder.layers.load_state_dict(ours.blocks.state_dict())
        self.encoder.embed_positions.weight.copy_(ours.positions)

    def forward(
        self, features: Tensor, frames: Tensor, input_ids: Tensor, attention_mask: Tensor, labels: Tensor
    ) -> Any:
        """The language model's output, its mean loss over target tokens among it."""
        embeddings = self.llm.get_input_embeddings()(input_ids)
        speech, lengths = self.projector(*self._encode(features, frames))
        places = (input_ids == PLACEHOLDER)[..., None].expand_as(embeddings)
        embeddings = embeddings.masked_scatter(places, speech[length_mask(lengths, speech.size(1))].to(embeddings))
        return self.llm(inputs_embeds=embeddings, attention_mask=attention_mask, labels=labels, use_cache=False)

    @staticmethod
    def name_in_aista(name: str) -> str:
        """Name of a trained parameter in aista's model."""
        return name.replace("projector.", "adapter.").replace("llm.base_model.model.", "llm.model.")

    def train(self, mode: bool = True) -> PlainModel:
        """All but the frozen encoder."""
        super().train(mode)
        self.encoder.eval()
        return self

    def _encode(self, features: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        if self.own_length:
            states, lengths = self.short_encoder[0](features, frames)
            return states, lengths
        windows = functional.pad(features, (0, 0, 0, WINDOW - features.size(1))).transpose(1, 2)
        lengths = (frames + 1) // 2
        return self.encoder(windows).last_hidden_state[:, : int(lengths.max())], lengths


def plain_dataset(rows: Rows, order: Sequence[int], ours: Aista) -> list[dict[str, Tensor]]:
    """Rows with their ids, in this order; placeholders for as many positions as the speech takes."""
    prompt, eos_id = ours.model.prompt, ours.model.eos_id
    items = []
    for number in order:
        frames = len(rows.features[number])
        speech = torch.full((int(ours.model.speech_positions(torch.tensor([frames]))),), PLACEHOLDER)
        target = torch.cat([rows.targets[number], torch.tensor([eos_id])])
        context = torch.cat([prompt.head.cpu(), speech, prompt.suffix.cpu()])
        labels = torch.cat([torch.full_like(context, -100), target])
        items.append({"features": rows.features[number], "input_ids": torch.cat([context, target]), "labels": labels})
    return items


def collate(items: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Pad on the right."""

    def pad(name: str, value: int) -> Tensor:
        return pad_sequence([item[name] for item in items], batch_first=True, padding_value=value)

    lengths = torch.tensor([len(item["input_ids"]) for item in items])
    ids = pad("input_ids", 0)
    return {
        "features": pad("features", 0),
        "frames": torch.tensor([len(item["features"]) for item in items]),
        "input_ids": ids,
        "attention_mask": length_mask(lengths, ids.size(1)).long(),
        "labels": pad("labels", -100),
    }


class _StepTimer(TrainerCallback):
    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        self.started = time.perf_counter()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.seconds.append(time.perf_counter() - self.started)


class _InOrder(Trainer):
    """A sampler that keeps the order, so that all compared systems get the same batches."""

    def _get_train_sampler(self, train_dataset: Any = None) -> SequentialSampler:
        return SequentialSampler(self.train_dataset)


def train_plainly(
    model: PlainModel,
    dataset: list[dict[str, Tensor]],
    optimizer: torch.optim.Optimizer,
    *,
    batch_size: int,
    folder: Path,
) -> list[float]:
    """One epoch by Trainer; the seconds of each step, collation left out."""
    arguments = TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=batch_size,
        num_train_epochs=1,
        lr_scheduler_type="constant",
        use_cpu=True,
        logging_strategy="no",
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
    )
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 1.0)
    timer = _StepTimer()
    trainer = _InOrder(
        model,
        arguments,
        train_dataset=dataset,
        data_collator=collate,
        optimizers=(optimizer, scheduler),
        callbacks=[timer],
    )
    trainer.remove_callback(transformers.PrinterCallback)
    trainer.train()
    return timer.seconds


def translate_plainly(
    model: PlainModel, embeddings: Tensor, mask: Tensor, *, beams: int, new_tokens: int, eos_id: int, pad_id: int
) -> list[list[int]]:
    """Best ids of each row without EOS, by ``generate`` from left-padded embeddings.

    Conventions are set to aista's: stop with ``beams`` hypotheses, score by log-probability over length with EOS, end
    by EOS at its own probability where the limit is reached, never produce padding.
    """
    config = transformers.GenerationConfig(
        max_new_tokens=new_tokens,
        num_beams=beams,
        do_sample=False,
        early_stopping=beams > 1,
        length_penalty=1.0,
        eos_token_id=eos_id,
        pad_token_id=pad_id,
    )
    end: Callable[[Tensor, Tensor], Tensor] = _EndAtLimit(new_tokens, eos_id, pad_id)
    with torch.no_grad():
        ids = model.llm.generate(
            inputs_embeds=embeddings,
            attention_mask=mask,
            generation_config=config,
            logits_processor=LogitsProcessorList([end]),
        )
    return [row[: row.index(eos_id)] if eos_id in row else row for row in ids.tolist()]


class _EndAtLimit(transformers.LogitsProcessor):  # type: ignore[misc]
    def __init__(self, limit: int, eos_id: int, pad_id: int) -> None:
        self.limit, self.eos_id, self.pad_id = limit, eos_id, pad_id

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        if input_ids.size(1) == self.limit - 1:
            return torch.full_like(scores, -torch.inf).index_copy(
                1, torch.tensor([self.eos_id]), scores[:, self.eos_id : self.eos_id + 1]
            )
        if self.pad_id != self.eos_id:
            scores = scores.index_fill(1, torch.tensor([self.pad_id]), -torch.inf)
        return scores
