"""Readers of corpora in the layouts of other tools: one file for each layout."""
