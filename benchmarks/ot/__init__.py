"""Comparison of transport solvers: one step of each, checked against float64, then timed in turns."""
