"""What a score is: the metric contract, the registry, and the built-in metrics."""
