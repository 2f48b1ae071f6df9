"""Paired statistics: is one run better than another, on questions like these, beyond chance?

Arrays in, records out: imports no other sub-room and no other room.
"""
