"""Metrics: BLEU, chrF, chrF++, TER, COMET, WER, CER, off-target rate."""
