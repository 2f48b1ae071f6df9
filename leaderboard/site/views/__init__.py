"""The same runs seen otherwise: any two of them, recipes in place of their seeds, several data sets at once.

Imports the model of a board, whose records these are made of.
"""
