"""Is the candidate worse than the margin allows? The decision and its reports.

Imports runs, compare and statistics.
"""
