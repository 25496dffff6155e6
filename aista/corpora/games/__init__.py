"""Readers of adventure games' files, in formats deduced from the files of Debian packages."""
