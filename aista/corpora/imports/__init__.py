"""A corpus of one's own: rows of any source become manifests that training can use."""
