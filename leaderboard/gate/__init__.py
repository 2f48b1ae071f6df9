"""Is the candidate worse than the margin allows? The decision and its reports.

Imports runs and statistics; only commands and `leaderboard.testing` stand above.
"""
