"""A grid of trainings and runs whose shared parts are made once.

Imports train, teacher and tiny; only commands stand above.
"""
