"""compare, check, baseline and leaderboard, one module a command.

Imports every sub-room of leaderboard; nothing imports a command.
"""
