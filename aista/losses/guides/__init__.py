"""Guides: estimates of each token's position in the speech."""
