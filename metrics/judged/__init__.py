"""Metrics over what judges say: verdicts on claims and on the whole, and likelihoods of answers.

Imports metrics' own modules, ``embedding`` and judges.
"""
