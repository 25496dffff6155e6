"""Schedules of a loss's weight over the training steps."""
