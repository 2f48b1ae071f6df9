"""Pairs of runs, rankings of many, seeds and factors, and their tables.

Imports runs and statistics; site and commands stand above.
"""
