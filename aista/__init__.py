"""aista: adaptive inner speech-text alignment for LLM-based speech translation."""

__version__ = "0.1.0"
