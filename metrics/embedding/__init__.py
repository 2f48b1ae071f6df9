"""Metrics over the embeddings of a local encoder."""
