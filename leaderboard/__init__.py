"""Compare finished runs: everything here reads run folders and nothing else."""
