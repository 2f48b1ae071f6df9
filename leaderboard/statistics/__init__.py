"""Paired statistics: is one run better than another, on questions like these, beyond chance?"""
