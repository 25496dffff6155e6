"""Experiment trackers, which receive a run's metrics in addition to its folder; one file each."""
