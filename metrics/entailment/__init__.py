"""Metrics over a local entailment model (``--nli``): does the answer say what the reference says, or the opposite?

Imports metrics' own modules and the embedding metrics' way to a folder; the harness's runs import it.
"""
