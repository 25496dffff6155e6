"""Components of kind ``segmenter``."""
