"""Trains experiments with fairseq2's Trainer."""
