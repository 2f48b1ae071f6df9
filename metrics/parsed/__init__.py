"""Metrics of answers that are read as a value: a number, a label, a YAML document, a table."""
