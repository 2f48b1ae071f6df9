"""Fewer questions for the same answer: in which order to ask, what is known of all items, and when a place is settled.

Arrays in, records out: nothing here knows a run, a model or an engine.
"""
