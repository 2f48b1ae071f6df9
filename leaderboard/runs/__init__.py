"""Runs as they are compared, from wherever they are kept: run folders, anchors, files of answers, foreign logs.

`LoadedRun` (`loaded.py`) is what all of them become. Imports nothing else of `leaderboard`.
"""
