"""How a part of the model is trained: one file per registered component."""
