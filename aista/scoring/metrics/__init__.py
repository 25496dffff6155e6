"""Metrics: BLEU, chrF, chrF++, TER, WER, CER."""
