"""What a run folder holds: the names of its files (``paths``), and how they are read and written."""
