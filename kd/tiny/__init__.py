"""Models and encoders made from nothing, for the demo and for tests.

Imports losses and train; only study and commands stand above.
"""
