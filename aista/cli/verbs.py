"""The verbs of the ``aista`` command with their descriptions, in the order of its help."""

from __future__ import annotations

__all__ = ["SUB_VERBS", "VERBS"]

VERBS = {
    "quickstart": "Make the synthetic corpus, train a baseline and AI-STA on it, write a report.",
    "train": "Train a model from a config, or resume a run.",
    "runs": "List the runs in a folder: state, step, scores, time left.",
    "evaluate": "Translate a test set and score it (BLEU, chrF, with signatures).",
    "compare": "Compare two evaluated runs by paired bootstrap.",
    "score": "Score translations in text files, and compare systems.",
    "report": "Write one HTML page on any runs: curves, scores, translations with audio, transport plans.",
    "translate": "Translate audio files with a trained run.",
    "export": "Export a trained model as a self-contained folder in Hugging Face's layout.",
    "ablate": "Train and score all runs of an ablation file, and compare them in a table.",
    "probe": "Measure cross-modal retrieval per LLM layer and draw the curves.",
    "data": "Import a corpus, train a tokenizer, check a manifest, align words, or prepare a ready-made dataset.",
    "init": "Create a project: config, ablation, Makefile, a plug-in with its test.",
    "new": "Write a working plug-in of any kind, to start your own from.",
    "configs": "List the shipped configs, or print one.",
    "list": "List the registered components.",
    "show": "Show the options of a component or config section, with a config snippet to paste.",
    "schema": "Print the JSON Schema of configs, for completion and checks in editors.",
    "completion": "Print the script with which bash, zsh or fish completes commands, options and files.",
    "check": "Run the contract tests on a component or plug-in file.",
}

SUB_VERBS = {
    "data align": "Fill a manifest's column word_times by CTC forced alignment.",
    "data import": "Make manifests from a corpus: your own in any usual layout, or a published one as unpacked.",
    "data shar": "Convert a manifest to Lhotse Shar, for streamed training.",
    "data tokenizer": "Train a SentencePiece model on the texts of manifests.",
}
