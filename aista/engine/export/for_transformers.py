"""Exports runs built from Qwen2-Audio's three parts as a model of transformers; see decision 15."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from aista.engine.export.description import generation_to_json, parts, save_tokenizer
from aista.engine.export.load import GENERATION
from aista.engine.export.weights import save_weights
from aista.errors import RunError
from aista.files import write_json
from aista.modules.hf_folder import read_config
from aista.modules.llms.base import GenerationConfig
from aista.modules.prompt import PLACEHOLDER
from aista.tasks.base import Task
from aista.tasks.prompting import prompt_text
from aista.tasks.speech_translation import SpeechTranslationTask

__all__ = ["check_parts", "loading_lines", "save_qwen2_audio"]

NAME = "qwen2_audio"
_PREPROCESSOR = "preprocessor_config.json"
_AUDIO = "<|AUDIO|>"
_NAMES = (
    (r"^encoder\.blocks\.", "audio_tower.layers."),
    (r"^encoder\.positions$", "audio_tower.embed_positions.weight"),
    (r"^encoder\.", "audio_tower."),
    (r"^adapter\.", "multi_modal_projector."),
    (r"^llm\.model\.", "language_model."),
)
"""Ours and transformers'."""

_LOADING = """```python
import soundfile
from transformers import AutoProcessor, Qwen2AudioForConditionalGeneration

model = Qwen2AudioForConditionalGeneration.from_pretrained("THIS_FOLDER", dtype="auto")
processor = AutoProcessor.from_pretrained("THIS_FOLDER")
audio, rate = soundfile.read("a.wav")  # one channel, {rate} samples a second
prompt = {prompt!r}
inputs = processor(text=prompt, audio=audio, sampling_rate=rate, return_tensors="pt")
ids = model.generate(**inputs)[:, inputs["input_ids"].size(1) :]
print(processor.batch_decode(ids, skip_special_tokens=True)[0])
```
"""


def check_parts(task: Task) -> None:
    """Raise RunError unless all parts are those of Qwen2-Audio and transformers can write the prompt."""
    other = [f"{part} is {spec.name}" for part, spec in parts(task.config).items() if spec.name != NAME]
    if other or not isinstance(task, SpeechTranslationTask):
        found = ", ".join(other) or f"the task is {type(task).__name__}"
        raise RunError(
            f"--transformers: transformers has one class for a run whose encoder, adapter and llm are {NAME} alone "
            f"({found}); export without --transformers"
        )
    if task.prompts.vary:
        raise RunError(
            "--transformers: this run's prompts differ by task or language, but the exported files hold only one; "
            "export without --transformers"
        )
    folder = _folder(task, "encoder")
    if not (folder / _PREPROCESSOR).is_file():
        raise RunError(
            f"--transformers: the run's base model came without {_PREPROCESSOR}, by which transformers computes "
            f"features; copy the published one to {folder / _PREPROCESSOR}"
        )
    before, after = _prompt(task).split(_AUDIO)
    if not before.endswith("<|audio_bos|>") and not after.startswith("<|audio_eos|>"):
        raise RunError(
            "--transformers: transformers' processor writes <|audio_bos|> and <|audio_eos|> around the speech, this "
            "run's prompt does not, so it would be given other input than it was trained on; export without "
            "--transformers"
        )


def save_qwen2_audio(
    folder: Path, task: Task, model: nn.Module, generation: GenerationConfig, shard_bytes: int
) -> None:
    """Write config, weights, tokenizer, feature extractor and search options for ``from_pretrained``.

    Args:
        folder: Output folder.
        task: Built from the run's own copies of the base model's files.
        model: With the trained weights, LoRA merged.
        generation: The run's search.
        shard_bytes: Largest file of weights.

    Raises:
        RunError: the parts do not make up one model, or its processor would encode the prompt otherwise.
    """
    config = read_config(_folder(task, "llm"), (NAME,))
    config.audio_config = read_config(_folder(task, "encoder"), (NAME,)).audio_config
    config.architectures = ["Qwen2AudioForConditionalGeneration"]
    state = {_their_name(name): tensor for name, tensor in model.state_dict().items()}
    types = {tensor.dtype for tensor in state.values()}
    config.dtype = types.pop() if len(types) == 1 else torch.float32
    _check_state(config, state)
    config.save_pretrained(str(folder))
    save_weights(folder, state, shard_bytes=shard_bytes)
    save_tokenizer(task, folder)
    shutil.copyfile(_folder(task, "encoder") / _PREPROCESSOR, folder / _PREPROCESSOR)
    search = generation_to_json(generation, task) | {"suppress_tokens": [task.tokenizer.pad_id]}
    if generation.beam_size > 1:
        search |= {"early_stopping": True}  # as aista's search does
    write_json(folder / GENERATION, search)
    _check_processor(folder, task)


def loading_lines(task: Task) -> str:
    """Instructions in the model card for loading the model and writing its prompt."""
    assert task.feature is not None
    return _LOADING.format(rate=task.feature.sample_rate, prompt=_prompt(task))


def _folder(task: Task, part: str) -> Path:
    path: Path = parts(task.config)[part].config.path
    return path


def _their_name(name: str) -> str:
    for pattern, theirs in _NAMES:
        if re.match(pattern, name):
            return re.sub(pattern, theirs, name)
    return name


def _check_state(config: Any, state: dict[str, Tensor]) -> None:
    from transformers import Qwen2AudioForConditionalGeneration

    with torch.device("meta"):
        expected = Qwen2AudioForConditionalGeneration(config).state_dict()
    wrong = {name for name in expected.keys() & state.keys() if expected[name].shape != state[name].shape}
    wrong |= expected.keys() ^ state.keys()
    if wrong:
        raise RunError(
            f"--transformers: encoder, adapter and llm do not make up one Qwen2-Audio: {len(wrong)} tensors differ, "
            f"e.g. {min(wrong)}; export without --transformers"
        )


def _ids(task: Task) -> list[int]:
    """The run's prompt as it was trained on, with one token for the speech."""
    assert isinstance(task, SpeechTranslationTask)
    prompt = task.prompts.first
    audio = task.tokenizer.encode_prompt(_AUDIO)
    start = [] if prompt.bos_id is None else [prompt.bos_id]
    return [*start, *prompt.ids.prefix, *audio, *prompt.ids.suffix]


def _prompt(task: Task) -> str:
    """The run's prompt in the form of the processor."""
    return prompt_text(task.config.prompt, task.tokenizer).replace(PLACEHOLDER, _AUDIO)


def _check_processor(folder: Path, task: Task) -> None:
    from transformers import Qwen2AudioProcessor

    processor = Qwen2AudioProcessor.from_pretrained(str(folder), local_files_only=True)
    found = processor.tokenizer(_prompt(task))["input_ids"]
    if found != _ids(task):
        raise RunError(
            "--transformers: transformers' processor encodes the run's prompt as other tokens than it was trained on; "
            "export without --transformers"
        )
