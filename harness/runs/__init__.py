"""One run: settings, plan, generate, judge, score, header, and the folder that keeps it.

Imports all of harness but cli and commands.
"""
