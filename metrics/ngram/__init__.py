"""Metrics over words and characters: exact match, token F1, ROUGE, BLEU, chrF, TER."""
