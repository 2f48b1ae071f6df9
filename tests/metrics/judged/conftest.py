"""The tiny encoder of the embedding metrics' tests, and their cache of its own."""

from ..embedding.conftest import bert, cache

__all__ = ["bert", "cache"]
