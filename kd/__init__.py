"""Make candidates: train small checkpoints alone or from a teacher, and whole studies of them.

Imports harness and the rooms below it, and never leaderboard. Modules that lie here serve several sub-rooms.
"""
