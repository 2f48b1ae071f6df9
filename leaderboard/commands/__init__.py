"""compare, check, baseline and leaderboard, one module a command: its options, and `run`, which gives the exit code.

May import every sub-room of `leaderboard`; only `testing.py` imports from here.
"""
