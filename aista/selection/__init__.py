"""Layer selection: strategies that choose the layers to align, and the retrieval probe that they read."""
