"""Ask a model: the client that talks to OpenAI-compatible servers, and the errors every room raises."""
