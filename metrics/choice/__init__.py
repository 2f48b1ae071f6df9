"""Multiple choice: which option an answer names, and which one the checkpoint finds most likely.

Imports metrics' contract alone.
"""
