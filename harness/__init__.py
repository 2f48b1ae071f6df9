"""Make one run: data, prompts, engines, the journal, and the command line."""
