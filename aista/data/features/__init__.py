"""Components of kind ``feature``."""
