"""Judges as commands need them: opening a panel, local checkpoints (``--judge local:CHECKPOINT``), calibration.

Imports judges, metrics and the harness's engines and prompts; runs and commands stand above.
"""
