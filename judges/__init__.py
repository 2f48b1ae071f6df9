"""Ask a model for a verdict: rubrics and prompts, panels and their ledger, verdicts and what is missing.

The lowest floor: imports no other room. Its modules import neither ``server`` nor ``calibration``.
"""
