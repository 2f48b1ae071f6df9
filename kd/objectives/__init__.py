"""Distillation algorithms, each in one file: what it needs, what it permits, its projectors, its loss.

Imports losses alone. The files need no torch until a loss is computed, so that settings can be checked without it.
"""
