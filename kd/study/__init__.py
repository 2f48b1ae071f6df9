"""A grid of trainings and runs whose shared parts are made once, each by a telbench command of its own.

Imports objectives, vocabulary, train and tiny; only commands stand above.
"""
