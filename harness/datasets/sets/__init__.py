"""One module a public data set, with the data of telecom-nano beside it.

Imports `harness.datasets` only; found through the entry points `telbench.datasets`.
"""
