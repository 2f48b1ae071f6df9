"""Distances between student and teacher, output heads, projectors: mathematics on tensors.

Imports no other sub-room of kd.
"""
