"""Judges as commands need them: opening a panel, local checkpoints, calibration, showing a verdict.

Imports judges and metrics; runs and commands stand above.
"""
