"""People's labels of a run's answers: sheets to fill in, reading them back, judged scores corrected by them.

Imports runs, judges and metrics; commands stand above.
"""
