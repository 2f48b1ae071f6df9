"""How many questions TeleQuAD has in each clause and each specification: sizes only.

Counted in the answerable questions of TeleQuAD v4 (file TeleQuAD-v4-full.json, CC BY 4.0), with ``source_document`` as
telbench reads it (a clause of a specification) and with the specification as the cluster; pairs of (size, how many).
``TEST_CLAUSES`` are those of telbench's test split.
"""

from __future__ import annotations

import numpy as np

_CLAUSES = [
    *((1, 50), (2, 66), (3, 50), (4, 58), (5, 45), (6, 45), (7, 29), (8, 32), (9, 21), (10, 21), (11, 12), (12, 17)),
    *((13, 11), (14, 9), (15, 5), (16, 5), (17, 7), (18, 6), (19, 5), (20, 3), (21, 3), (22, 4), (23, 2), (25, 2)),
    *((26, 1), (27, 3), (28, 1), (29, 2), (30, 2), (31, 2), (32, 2), (33, 1), (35, 1), (38, 2), (39, 1), (40, 1)),
    *((45, 1), (51, 1), (58, 1), (62, 1), (63, 1), (75, 1)),
]
_SPECIFICATIONS = [
    *((1, 6), (2, 10), (3, 8), (4, 9), (5, 5), (6, 7), (7, 5), (8, 1), (9, 6), (10, 7), (11, 2), (12, 3), (14, 2)),
    *((15, 1), (18, 4), (27, 2), (30, 1), (33, 2), (35, 1), (39, 1), (45, 1), (48, 1), (58, 1), (63, 1), (120, 1)),
    *((131, 1), (157, 1), (159, 1), (164, 1), (228, 1), (318, 1), (361, 1), (403, 1), (441, 1), (849, 1)),
]
_TEST = [
    *((1, 5), (2, 10), (3, 11), (4, 16), (5, 6), (6, 8), (7, 6), (8, 9), (9, 5), (10, 2), (11, 4), (12, 5), (13, 1)),
    *((14, 2), (16, 1), (17, 2), (19, 1), (20, 2), (29, 1), (31, 1)),
]


def _sizes(counted: list[tuple[int, int]]) -> np.ndarray:
    return np.repeat([size for size, _ in counted], [count for _, count in counted])


CLAUSES, TEST_CLAUSES, SPECIFICATIONS = _sizes(_CLAUSES), _sizes(_TEST), _sizes(_SPECIFICATIONS)
