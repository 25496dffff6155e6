"""A whole training step beside a loop of plain transformers, on a CPU or a GPU; fairseq2 is not needed."""
