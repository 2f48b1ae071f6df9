"""Pairs of runs, rankings of many, and their tables.

Imports runs and statistics; gate and site stand above.
"""
