"""Rows of a board that no run folder is behind: logs of other harnesses, anchors, files of Every Eval Ever.

Imports the runs and the model; the command that builds a board hands over what was found.
"""
