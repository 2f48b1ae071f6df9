"""The static leaderboard: a folder of pages that opens from a file:// address."""
