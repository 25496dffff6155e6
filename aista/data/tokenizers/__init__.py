"""Components of kind ``tokenizer``."""
