"""Corpora as other tools lay them out, read row by row: one file for each layout."""
