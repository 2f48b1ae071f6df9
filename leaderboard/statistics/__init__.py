"""Paired statistics: is one run better than another, on questions like these, beyond chance? One idea a module.

Arrays and plain numbers in, frozen records out. Imports nothing of telbench but its errors.
"""
