"""Metrics over words and characters: exact match, token F1, ROUGE, BLEU, chrF, TER, METEOR.

Imports metrics' contract, and neither judges nor an encoder.
"""
