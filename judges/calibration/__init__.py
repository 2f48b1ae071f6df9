"""May a judge be believed? Labelled answers, agreement, reports, attacks, preferences.

Imports the rest of judges; nothing in judges imports it.
"""
