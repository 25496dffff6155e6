"""Metrics: BLEU, chrF, chrF++, TER, COMET, WER, CER."""
