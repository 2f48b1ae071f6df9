"""What the pages show, as records: columns, standings, eligibility, answers, terms.

Imports compare, runs and statistics, and of site `parallel` and `templates_env`; pages and `build` stand above.
"""
