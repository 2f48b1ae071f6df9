"""Judges behind a server: requests, pacing, failures, what the server can do, prices; ``--judge openai:MODEL@URL``.

Imports judges' own modules, and no calibration.
"""
