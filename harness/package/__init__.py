"""telbench: which distilled telecom checkpoint is really better."""
