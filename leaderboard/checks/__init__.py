"""What a check is asked for: settings as flags and ``gate.yaml`` say them, and gates of several data sets as one.

Imports gate and runs; publish and commands stand above.
"""
