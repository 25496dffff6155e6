"""The inner loops of the losses: a plain reference and faster paths, one folder per algorithm."""
