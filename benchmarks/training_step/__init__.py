"""Comparison of a whole training step with a loop of plain transformers, on CPU or GPU, without fairseq2."""
