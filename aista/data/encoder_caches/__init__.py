"""Components of kind ``encoder_cache``."""
