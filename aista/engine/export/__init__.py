"""Exported runs: folders that stand alone, written from a run and loaded in its place."""
