"""The verbs of the ``aista`` command, in the order in which its help lists them, and what each does."""

from __future__ import annotations

__all__ = ["SUB_VERBS", "VERBS"]

VERBS = {
    "quickstart": "Build the embedded corpus, train a baseline and AI-STA on it, write a report.",
    "train": "Train an experiment from a config, or resume it.",
    "runs": "List the runs of a folder: state, step, scores, time left.",
    "evaluate": "Translate a test set and score it (BLEU, chrF, with signatures).",
    "compare": "Compare two evaluated runs by paired bootstrap.",
    "score": "Score translations in text files, and compare systems.",
    "report": "Write one HTML page about any runs: curves, scores, translations with audio, transport plans.",
    "translate": "Translate audio files with a trained run.",
    "export": "Write a trained run as a self-contained folder in Hugging Face's layout.",
    "ablate": "Train the runs that an ablation file describes, score them, and compare them in a table.",
    "probe": "Measure cross-modal retrieval per LLM layer and draw the curves.",
    "data": "Import your own corpus, train a tokenizer on it, check a manifest, align words, or prepare a dataset.",
    "init": "Make a project: config, ablation, Makefile, a plug-in with its test.",
    "new": "Write a plug-in of any kind, to be changed; it keeps its contracts as it is.",
    "configs": "List the shipped configs, or print one.",
    "list": "List the registered components.",
    "show": "Show the options of a component or of a config section, with a config snippet to paste.",
    "schema": "Print the JSON Schema of configs, with which editors complete and check them.",
    "completion": "Print the script with which bash, zsh or fish completes commands, options and files.",
    "check": "Run the public contract tests on a component or plug-in file.",
}

SUB_VERBS = {
    "data align": "Fill a manifest's column word_times by CTC forced alignment.",
    "data import": "Make manifests of a corpus: your own in any usual layout, or a published one as it unpacks.",
    "data shar": "Write a manifest as a Lhotse Shar, to train on as a stream.",
    "data tokenizer": "Train a SentencePiece model on the texts of manifests.",
}
