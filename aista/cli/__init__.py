"""Command-line interface: ``main`` finds the command; one module per command reads its arguments and runs it."""
