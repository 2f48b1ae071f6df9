"""Is the candidate worse than the margin allows? The decision and its reports.

Imports runs and statistics; publish, commands and `leaderboard.testing` stand above.
"""
