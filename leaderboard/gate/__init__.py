"""Is the candidate worse than the margin allows? The decision, and its reports for machines and people.

Imports `compare`, `runs` and `statistics`; `site` stands beside it and neither imports the other.
"""
