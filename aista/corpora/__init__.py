"""Preparations of datasets, run by `aista data NAME`, and the synthetic corpus; a module named as one is one."""
