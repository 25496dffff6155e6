"""Adapters: encoder frames -> LLM positions."""
