"""The documentation site, ``make docs``: what mkdocs needs beside docs/. Reference pages are written at build time."""
