"""One training: settings, examples, steps, state that resumes, the checkpoint and its report.

Imports losses, objectives, vocabulary and teacher; study and commands stand above.
"""
