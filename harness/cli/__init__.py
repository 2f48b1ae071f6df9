"""The command line itself: the entry point, and what a person sees in a terminal.

`main` names all commands as strings and imports one when it is called. `terminal` and `tables` import no sub-room;
every room above metrics uses them.
"""
