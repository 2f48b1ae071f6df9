"""The commands of harness, a module each with ``configure(parser)`` and ``run(args) -> exit code``.

Imports every sub-room of harness but ``prompts`` and ``datasets.sets``. Commands of kd and leaderboard import
`options`, and no other module of it.
"""
