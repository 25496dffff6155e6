"""Layer selection: which layers to align, and the retrieval probe that tells."""
