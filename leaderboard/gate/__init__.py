"""Is the candidate worse than the margin allows? The decision and its reports.

Imports compare, runs and statistics; checks, publish, commands and `leaderboard.testing` stand above.
"""
