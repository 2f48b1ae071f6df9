"""From an item to the text a model reads: template, passages that fit, references, tokenizers.

Imports `datasets` and checkpoints; engines and runs stand above.
"""
