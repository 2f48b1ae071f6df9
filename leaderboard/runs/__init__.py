"""Reading what is compared: run folders, anchors, logs of other harnesses, answers without a run.

Imports no other sub-room of leaderboard; compare, gate, site and commands stand above.
"""
