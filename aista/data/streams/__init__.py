"""Corpora in shards, read a few shards at a time while a model is trained on them: one file for each layout."""
