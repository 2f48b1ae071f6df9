"""Data sets: a loader for each public set, the canonical files that users bring, splits and lint."""
