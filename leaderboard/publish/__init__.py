"""What a check leaves behind: files, a badge, a comment, a history, outputs of a step of GitHub Actions.

Imports gate and runs; commands and site stand above.
"""
