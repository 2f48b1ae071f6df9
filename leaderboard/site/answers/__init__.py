"""What is found in answers for a reader: numbers and names marked, and an index by which all items are searched.

Imports the model; pages stand above.
"""
