"""Make candidates: training of small checkpoints, later distillation."""
