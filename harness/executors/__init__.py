"""Where telbench's own commands run as processes: on this machine, on a Ray cluster, or in SLURM's queue.

Knows no study and no suite: whoever has several commands to run gives them as tasks. Imports cli, storage and the
package; commands stand above.
"""
