"""Exported runs: self-contained folders, written from a run and loaded in its place."""
