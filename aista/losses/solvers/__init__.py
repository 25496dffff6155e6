"""Optimal-transport solvers for padded batches: one file per family, each registered as an ``ot_solver``."""
