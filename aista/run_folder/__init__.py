"""The contents of a run folder: names of files (``paths``), readers and writers."""
