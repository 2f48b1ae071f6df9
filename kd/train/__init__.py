"""One training: examples, steps, state that resumes, the checkpoint and its report.

Imports losses, objectives, vocabulary and teacher; tiny, study and commands stand above.
"""
