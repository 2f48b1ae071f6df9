"""Two tokenizers: what they share, how their tokens align, which algorithms that permits.

Imports losses and objectives.
"""
