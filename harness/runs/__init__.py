"""One run: settings, plan, generate, judge, score, evaluate, and the folder that keeps it.

Imports every sub-room of harness but ``commands`` and ``datasets.sets``; of ``cli`` only `terminal` and `tables`.
"""
