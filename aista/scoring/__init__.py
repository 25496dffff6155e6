"""Corpus scores with signatures, and the significance of differences between systems."""
