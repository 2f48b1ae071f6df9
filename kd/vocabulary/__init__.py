"""Two tokenizers: what they share, how their tokens align, which algorithms that permits.

Imports objectives; train, study and commands stand above.
"""
