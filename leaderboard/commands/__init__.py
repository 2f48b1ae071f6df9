"""compare, check, baseline and leaderboard, one module a command.

Imports every sub-room of leaderboard but the charts and pages of site. Only `leaderboard.testing` imports a command.
"""
