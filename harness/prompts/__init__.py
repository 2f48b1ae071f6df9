"""From an item to the text a model reads: template, passages that fit, references, a model's encoder of texts.

Imports ``datasets`` and the contract of ``engines``; judging, runs and kd stand above.
"""
