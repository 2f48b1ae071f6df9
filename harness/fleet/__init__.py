"""Several runs as one piece of work: what they share is read and loaded once, and each is what its own command makes.

Imports ``runs`` and what that imports; commands and suites stand above.
"""
