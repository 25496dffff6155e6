"""Estimates of a run's cost without weights, data or a GPU: operations, memory and time."""
