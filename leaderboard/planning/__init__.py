"""What a comparison will need, told by a pilot: items, documents, seeds, and what more budget buys.

Imports gate (for what a check looks at), compare, runs and statistics; only the command stands above.
"""
