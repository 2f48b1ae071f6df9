"""Metrics over the embeddings of a local encoder: BERTScore, cosines, and what their values mean on the data at hand.

Imports metrics' own modules; ``judged``, the harness's runs and kd's study import it.
"""
