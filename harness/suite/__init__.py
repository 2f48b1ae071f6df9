"""A suite: models x data sets x prompts from one file, as entries that a process of its own can make.

``file`` reads what was asked, ``entries`` makes records of it, ``folder`` is where they are kept, ``making`` has them
made by an executor. Imports ``fleet``, ``runs``, ``executors`` and what those import; knows neither comparison nor
board.
"""
