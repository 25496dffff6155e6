"""Thin commands: ``main`` finds the verb, one module per verb reads its arguments and calls the rooms below."""
