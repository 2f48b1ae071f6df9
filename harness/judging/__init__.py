"""Judges as commands need them: opening a panel, local checkpoints (``--judge local:CHECKPOINT``), calibration.

Imports judges, and of harness engines, prompts and the terminal; runs and commands stand above.
"""
