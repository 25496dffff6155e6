"""A corpus of tones that a tiny model can learn in seconds, and the config that trains on it."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import sentencepiece
import soundfile
import yaml

from aista.data.manifest import Row, write_manifest
from aista.data.word_times import format_word_times

WORDS = {"one": "un", "two": "deux", "red": "rouge", "cat": "chat", "dog": "chien", "big": "grand"}
RATE = 16_000


def make_corpus(folder: Path, num_train: int = 24, num_dev: int = 8, *, untranscribed: int = 0) -> Path:
    """train.tsv, dev.tsv, test.tsv, audio and spm.model; each word is a tone of its own pitch."""
    generator = random.Random(3)
    (folder / "audio").mkdir(parents=True)
    for split, count in (("train", num_train), ("dev", num_dev), ("test", num_dev)):
        rows = [_utterance(folder, f"{split}{index}", generator) for index in range(count)]
        if split == "train":
            rows = [
                replace(row, src_text="", word_times="") if i < untranscribed else row for i, row in enumerate(rows)
            ]
        write_manifest(folder / f"{split}.tsv", rows)
    sentences = [" ".join(words) for words in (WORDS, WORDS.values())] * 20
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences),
        model_prefix=str(folder / "spm"),
        vocab_size=40,
        hard_vocab_limit=False,
        pad_id=3,
        user_defined_symbols=["<fr>"],
        minloglevel=2,
    )
    return folder


def _utterance(folder: Path, name: str, generator: random.Random) -> Row:
    words = generator.choices(list(WORDS), k=generator.randint(2, 4))
    time = np.arange(int(0.12 * RATE)) / RATE
    tones = [np.sin(2 * np.pi * (300 + 250 * list(WORDS).index(word)) * time) for word in words]
    wave = 0.3 * np.concatenate(tones).astype(np.float32)
    soundfile.write(str(folder / "audio" / f"{name}.wav"), wave, RATE)
    translation = " ".join(WORDS[word] for word in words)
    times = format_word_times([(0.12 * index, 0.12 * (index + 1)) for index in range(len(words))])
    return Row(name, f"audio/{name}.wav", len(wave), translation, "tone", " ".join(words), "en", "fr", times)


def tiny_config(corpus: Path, **changes: object) -> dict[str, object]:
    """A speech-translation experiment that takes milliseconds a step."""
    return {
        "tokenizer": {"name": "sentencepiece", "config": {"path": str(corpus / "spm.model")}},
        "prompt": "{speech}<fr>",
        "data": {
            **{split: str(corpus / f"{split}.tsv") for split in ("train", "dev", "test")},
            "feature": {"name": "log_mel", "config": {"num_mels": 20}},
            "target_language": "fr",
            "batch_size": 8,
        },
        "encoder": {
            "name": "conformer",
            "config": {"model_dim": 16, "num_layers": 1, "num_heads": 2, "ffn_dim": 32, "kernel_size": 3},
        },
        "adapter": {"name": "linear"},
        "llm": {"name": "transformer_lm", "config": {"model_dim": 16, "num_layers": 2, "num_heads": 2}},
        "layer_selection": {"name": "fixed", "config": {"layers": [0, 1]}},
        "alignment": [{"name": "ot", "weight": 0.5}],
        "trainer": {"max_steps": 8, "learning_rate": 3e-3, "log_every": 2},
        "evaluation": {"generation": {"beam_size": 2, "max_new_tokens": 12}},
        **changes,
    }


def write_config(path: Path, config: dict[str, object]) -> Path:
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return path
