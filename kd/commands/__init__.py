"""`telbench kd` and `telbench demo`, one module a command.

Imports every sub-room of kd; nothing imports a command.
"""
