"""Import of corpora: converts rows of any source to manifests for training."""
