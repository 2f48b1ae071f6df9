"""Metrics over the verdicts of judges."""
