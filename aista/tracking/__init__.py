"""Experiment trackers: where a run's metrics are sent besides its folder, one file each."""
