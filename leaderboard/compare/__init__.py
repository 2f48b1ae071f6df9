"""Runs against the first of them, rankings of three or more, recipes and studies, and all of these as text.

Imports `runs` and `statistics`; `gate` and `site` stand above.
"""
