"""Components of kind ``augmentation``."""
