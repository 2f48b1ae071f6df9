"""Items: reading, loading, splits, wording, and the canonical files that users bring.

Imports no other sub-room of harness; the public sets are in ``sets`` and are found by name.
"""
