"""The embedded English-French corpus: lexicon, grammar, held-out combinations and synthetic speech."""
