"""Compare finished runs, publish them, and gate on them.

Imports harness and the rooms below it, and never kd. It reads run folders; only the board also reads data sets, for
contexts that runs keep as hashes.
"""
