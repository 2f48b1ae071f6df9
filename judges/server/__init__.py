"""Judges behind a server: requests, pacing, failures, what the server can do, prices.

Imports nothing of judges but its contract and rubrics.
"""
