"""What generates: one small contract (``contract``) and an engine a module, found through ``telbench.engines``.

Imports ``datasets`` and the judges' server client; no other sub-room of harness.
"""
