"""Compare finished runs: paired statistics, comparison, gate, board. Finished runs are read; nothing is run.

Inside, each imports from those left of it: ``statistics`` < ``runs`` < ``compare`` < ``gate``, ``site`` <
``commands`` < ``testing``, the function for a pytest suite.
"""
