"""Several replicas of one local engine on a Ray cluster, told as one engine: ``--engine ray``.

Knows no run: requests go in as to any engine, and each is answered once. Imports the engine contract and the cluster.
"""
