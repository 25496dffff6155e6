"""The documentation site (``make docs``): mkdocs hooks, and reference pages written at build time."""
