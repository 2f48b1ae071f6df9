"""The worth of a metric on one's own data: what it tells apart, what it reads, which other metric it repeats.

Imports metrics' own modules; the harness's commands import it.
"""
