"""Corpus scores with signatures, and whether a difference between systems is more than chance."""
