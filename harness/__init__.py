"""Make one run: data sets, prompts, engines, the journal, scores, and the command line.

Imports judges and metrics; kd and leaderboard stand above. Modules that lie here serve several sub-rooms.
"""
