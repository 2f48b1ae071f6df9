"""What stands in a text: words, quantities, names, contrasts and negations, each with its place."""
