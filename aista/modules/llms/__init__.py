"""Decoder-only language models: one file per registered component."""
