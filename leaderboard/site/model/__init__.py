"""What the pages show, as records: columns, standings, eligibility, answers, terms.

Imports compare, runs and statistics; pages and charts stand above.
"""
