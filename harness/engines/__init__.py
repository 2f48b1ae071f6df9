"""What generates: one small contract (``base``) and an engine a module."""
