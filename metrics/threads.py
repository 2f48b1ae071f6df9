"""One thread for products of matrices that are thin.

BLAS splits a product between all cores as soon as it is not tiny. For a thin one (43 x 3,000 by 3,000 x 10) there is
nothing to gain. Where another process holds one of the cores, the threads wait for each other: 227 ms in place of 10.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController


@contextmanager
def one_thread() -> Iterator[None]:
    """Bound BLAS to one thread within; what was set before is set again. Also a decorator.

    >>> import numpy as np
    >>> with one_thread():
    ...     (np.ones((2, 3)) @ np.ones((3, 1))).tolist()
    [[3.0], [3.0]]
    """
    with _libraries().limit(limits=1, user_api="blas"):
        yield


@lru_cache(maxsize=1)
def _libraries() -> ThreadpoolController:
    """The libraries that numpy and scipy have loaded: to look for them takes longer than a thin product."""
    import numpy  # noqa: F401
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
