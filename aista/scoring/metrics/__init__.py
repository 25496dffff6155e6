"""Metrics: BLEU, chrF, WER, CER."""
