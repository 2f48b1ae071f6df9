"""Pictures of a board that stand alone, where its pages are only linked: a badge, and what a preview of a link shows.

Imports the model; `build` writes them.
"""
