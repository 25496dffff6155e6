"""Dataset preparations behind `aista data NAME`, one per file."""
