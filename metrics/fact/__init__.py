"""Metrics of facts without a model: quantities, entities, polarity and direction of the reference in the answer."""
