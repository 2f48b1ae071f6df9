"""The command line itself: the entry point, options that several commands share, what a person sees in a terminal.

`main` stands above all commands and imports none of them; `terminal` and `tables` stand below every room of harness.
"""
