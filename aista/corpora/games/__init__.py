"""Readers of adventure games' files, each deduced from the bytes of the Debian package that holds them."""
