"""One module for each data set or family of sets, with the data of telecom-nano beside it.

Imports `harness.datasets` only; found through the entry points `telbench.datasets`. `harness.lint` alone imports one,
to check the facts of telecom-nano.
"""
