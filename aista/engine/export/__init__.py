"""Exports: self-contained folders with a run's model, which can be loaded in place of the run."""
