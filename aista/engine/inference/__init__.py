"""Inference with trained runs: translate, evaluate, probe."""
