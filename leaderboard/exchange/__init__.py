"""Runs in the formats of other tools: a module a format, read and written.

What a reader of logs finds for a comparison lives in `leaderboard.runs`; here it becomes a run folder.
"""
