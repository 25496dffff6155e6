"""Dataset preparations, run by `aista data NAME`, one module each, and the synthetic corpus."""
