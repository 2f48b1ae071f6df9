"""What a score is: the contract of metrics, their intervals, and the built-in ones.

Imports judges and no room above. ``contract`` is what a plugin imports: it needs no package but telbench.
"""
