"""How many n-grams two strings share, for thousands of pairs at once.

BLEU (a code point a token) and chrF (a code point a character) both come down to the size of the multiset
intersection of the n-grams of two strings, for every order up to four or six. Counting with dictionaries costs a
string slice and a hash an n-gram and order. Here each position becomes one integer that packs the window of the
highest order; the integers of a pair are sorted once, and since windows that share their first n code points then
stand side by side, runs of equal prefixes give the counts of *all* orders.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Pair = tuple[str, str]

# Windows past the end of a string hold padding; each side has its own, so that padding never matches.
_LEFT_PAD, _RIGHT_PAD = " ", "\n"
_CHUNK_CHARACTERS = 50_000  # keeps the arrays of a chunk in a core's cache
_KEY_BITS = 63  # a key is a 64-bit integer whose lowest bit says which side it came from


def shared_ngrams(pairs: Sequence[Pair], order: int) -> NDArray[np.int64]:
    """Shared n-grams of each pair, each counted as often as in the string that has fewer of it.

    Args:
        pairs: strings without spaces and line feeds; every code point is a symbol.
        order: the longest n-gram.

    Returns:
        Array of shape (len(pairs), order); column n - 1 is for n-grams of length n.

    >>> shared_ngrams([("abab", "bab")], 3).tolist()
    [[3, 2, 1]]
    """
    import numpy as np

    if not pairs:
        return np.zeros((0, order), dtype=np.int64)
    return np.concatenate([_chunk_shared(chunk, order) for chunk in _chunks(pairs)])


def _chunks(pairs: Sequence[Pair]) -> Iterator[Sequence[Pair]]:
    start = size = 0
    for end, (left, right) in enumerate(pairs):
        if size > _CHUNK_CHARACTERS:
            yield pairs[start:end]
            start, size = end, 0
        size += len(left) + len(right)
    yield pairs[start:]


def _chunk_shared(pairs: Sequence[Pair], order: int) -> NDArray[np.int64]:
    import numpy as np

    shared = _sorted_shared(pairs, order)
    if shared is not None:
        return shared
    if len(pairs) > 1:  # fewer pairs have fewer distinct symbols
        middle = len(pairs) // 2
        return np.concatenate([_chunk_shared(pairs[:middle], order), _chunk_shared(pairs[middle:], order)])
    return np.array([[counted_shared(*pairs[0], n) for n in range(1, order + 1)]], dtype=np.int64)


def ngram_counts(text: str, n: int) -> Counter[str]:
    """The n-grams of a string with their counts."""
    return Counter([text[start : start + n] for start in range(len(text) - n + 1)])


def counted_shared(left: str, right: str, n: int) -> int:
    """Shared n-grams of one pair by counting: the plain way, for alphabets too large to pack."""
    wanted = ngram_counts(right, n)
    return sum(min(count, wanted[gram]) for gram, count in ngram_counts(left, n).items() if gram in wanted)


def _sorted_shared(pairs: Sequence[Pair], order: int) -> NDArray[np.int64] | None:
    """Shared n-grams by sorting packed windows, or None when the alphabet is too large for a 64-bit key."""
    import numpy as np

    left_pad, right_pad = _LEFT_PAD * order, _RIGHT_PAD * order
    pieces = [piece for left, right in pairs for piece in (left, left_pad, right, right_pad)]
    pieces.append(right_pad)  # completes the windows that start in the last padding
    points = np.frombuffer("".join(pieces).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)

    used = np.zeros(int(points.max()) + 1, dtype=bool)
    used[points] = True
    ranks = np.cumsum(used) - 1
    bits = max(1, int(ranks[-1]).bit_length())
    if bits * order > _KEY_BITS:
        return None

    lengths = np.fromiter((len(text) + order for pair in pairs for text in pair), dtype=np.int64, count=2 * len(pairs))
    keys = _windows(ranks.astype(np.uint64)[points], order, bits, total=int(lengths.sum()))
    sides = np.repeat(np.tile(np.array([1, 0], dtype=np.uint64), len(pairs)), lengths)
    keys = keys << np.uint64(1) | sides

    ends = np.cumsum(lengths[0::2] + lengths[1::2])
    pair_starts = np.concatenate([[0], ends[:-1]])
    for start, end in pairwise([0, *ends.tolist()]):
        keys[start:end].sort()
    return _counts_by_prefix(keys, pair_starts, order, bits)


def _windows(codes: NDArray[np.uint64], order: int, bits: int, total: int) -> NDArray[np.uint64]:
    """For each of the first ``total`` positions, the next ``order`` codes in one integer, first code highest."""
    import numpy as np

    shift = np.uint64(bits)
    keys = codes[:total].copy()
    for offset in range(1, order):
        keys <<= shift
        keys |= codes[offset : offset + total]
    return keys


def _counts_by_prefix(
    keys: NDArray[np.uint64], pair_starts: NDArray[np.int64], order: int, bits: int
) -> NDArray[np.int64]:
    """From the sorted keys of each pair, the shared n-grams for n = 1..order.

    From the highest order down: the runs of order n - 1 are unions of runs of order n, so each step works on the runs
    that the step before has left.
    """
    import numpy as np

    # The highest bit in which a key differs from the one before it tells the longest prefix that they share.
    changes = np.empty_like(keys)
    np.bitwise_xor(keys[1:], keys[:-1], out=changes[1:])
    changes[pair_starts] = np.iinfo(np.uint64).max
    starts = np.arange(len(keys) + 1, dtype=np.int32)
    lefts_before = np.zeros(len(keys) + 1, dtype=np.int32)
    np.cumsum(keys & np.uint64(1), out=lefts_before[1:])

    shared = np.empty((len(pair_starts), order), dtype=np.int64)
    for n in range(order, 0, -1):
        runs = np.flatnonzero(changes >= np.uint64(1 << (1 + bits * (order - n))))
        changes = changes[runs]
        runs = np.append(runs, len(starts) - 1)
        starts, lefts_before = starts[runs], lefts_before[runs]
        from_left = np.diff(lefts_before)
        from_right = np.diff(starts) - from_left
        first_runs = np.searchsorted(starts, pair_starts)
        shared[:, n - 1] = np.add.reduceat(np.minimum(from_left, from_right), first_runs, dtype=np.int64)
    return shared
