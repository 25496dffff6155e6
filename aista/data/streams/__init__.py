"""Sharded corpora, read a few shards at a time during training: one file for each layout."""
