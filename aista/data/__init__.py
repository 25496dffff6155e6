"""Manifests, their inspection, audio, features, tokenizers and resumable length-bucketed batches."""
