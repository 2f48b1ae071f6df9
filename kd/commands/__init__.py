"""`telbench kd` and `telbench demo`, one module a command.

Imports the sub-rooms of kd that do the work; no sub-room imports a command.
"""
