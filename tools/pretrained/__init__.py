"""Public pretrained models that install from package indexes, as local Hugging Face folders."""
