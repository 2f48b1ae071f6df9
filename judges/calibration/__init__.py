"""May a judge be believed? Labelled answers, agreement with them, reports, attacks, preferences between two runs.

Imports judges' own modules, and no server; nothing else in judges imports it.
"""
