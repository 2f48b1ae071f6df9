"""What the pages show, as records: the board with its runs, tables, items and answers, and the words for them.

Imports `compare`, `runs`, `statistics`, and of the site `formats` and `parallel`; charts and pages stand above.
"""
