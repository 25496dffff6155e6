"""Guides: where in the speech a token may be."""
