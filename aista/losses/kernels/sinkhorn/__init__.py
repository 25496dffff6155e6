"""Sinkhorn iterations on padded batches; the derivation is in this folder's README.md."""
