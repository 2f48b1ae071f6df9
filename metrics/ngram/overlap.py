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

Group = tuple[str, ...]

# Windows past the end of a string hold padding; the first string has its own, so that padding never matches.
_LEFT_PAD, _RIGHT_PAD = " ", "\n"
_CHUNK_CHARACTERS = 50_000  # keeps the arrays of a chunk in a core's cache
_KEY_BITS = 63  # a key is a 64-bit integer whose lowest bits say which string it came from


def shared_ngrams(groups: Sequence[Group], order: int) -> NDArray[np.int64]:
    """Shared n-grams of the first string of each group with the others.

    Each n-gram of the first counts as often as it stands there, and at most as often as in that other string which has
    most of it.

    Args:
        groups: two strings or more, without spaces and line feeds; every code point is a symbol.
        order: the longest n-gram.

    Returns:
        Array of shape (len(groups), order); column n - 1 is for n-grams of length n.

    >>> shared_ngrams([("abab", "bab")], 3).tolist(), shared_ngrams([("abab", "bab", "ac")], 3).tolist()
    ([[3, 2, 1]], [[3, 2, 1]])
    """
    import numpy as np

    if not groups:
        return np.zeros((0, order), dtype=np.int64)
    return np.concatenate([_chunk_shared(chunk, order) for chunk in _chunks(groups)])


def _chunks(groups: Sequence[Group]) -> Iterator[Sequence[Group]]:
    start = size = 0
    for end, group in enumerate(groups):
        if size > _CHUNK_CHARACTERS:
            yield groups[start:end]
            start, size = end, 0
        size += sum(map(len, group))
    yield groups[start:]


def _chunk_shared(groups: Sequence[Group], order: int) -> NDArray[np.int64]:
    import numpy as np

    shared = _sorted_shared(groups, order)
    if shared is not None:
        return shared
    if len(groups) > 1:  # fewer groups have fewer distinct symbols
        middle = len(groups) // 2
        return np.concatenate([_chunk_shared(groups[:middle], order), _chunk_shared(groups[middle:], order)])
    return np.array([[counted_shared(groups[0], n) for n in range(1, order + 1)]], dtype=np.int64)


def ngram_counts(text: str, n: int) -> Counter[str]:
    """The n-grams of a string with their counts."""
    return Counter([text[start : start + n] for start in range(len(text) - n + 1)])


def counted_shared(group: Group, n: int) -> int:
    """Shared n-grams of one group by counting: the plain way, for alphabets too large to pack."""
    wanted = [ngram_counts(text, n) for text in group[1:]]
    return sum(min(count, max(counts[gram] for counts in wanted)) for gram, count in ngram_counts(group[0], n).items())


def _sorted_shared(groups: Sequence[Group], order: int) -> NDArray[np.int64] | None:
    """Shared n-grams by sorting packed windows, or None when the alphabet is too large for a 64-bit key."""
    import numpy as np

    left_pad, right_pad = _LEFT_PAD * order, _RIGHT_PAD * order
    pieces: list[str] = []
    for group in groups:
        pieces += (group[0], left_pad)
        for text in group[1:]:
            pieces += (text, right_pad)
    pieces.append(right_pad)  # completes the windows that start in the last padding
    points = np.frombuffer("".join(pieces).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)

    used = np.zeros(int(points.max()) + 1, dtype=bool)
    used[points] = True
    ranks = np.cumsum(used) - 1
    bits = max(1, int(ranks[-1]).bit_length())
    sizes = [len(group) for group in groups]
    sides = max(sizes)
    side_bits = (sides - 1).bit_length()
    if bits * order + side_bits > _KEY_BITS + 1:
        return None

    lengths = np.fromiter((len(text) + order for group in groups for text in group), dtype=np.int64)
    keys = _windows(ranks.astype(np.uint64)[points], order, bits, total=int(lengths.sum()))
    # The first string of a group has the highest side: it is 1 where there are but two.
    side = [sides - 1 - place for size in sizes for place in range(size)]
    keys = keys << np.uint64(side_bits) | np.repeat(np.array(side, dtype=np.uint64), lengths)

    ends = np.cumsum(lengths)[np.cumsum(sizes) - 1]
    group_starts = np.concatenate([[0], ends[:-1]])
    for start, end in pairwise([0, *ends.tolist()]):
        keys[start:end].sort()
    return _counts_by_prefix(keys, group_starts, order, bits, sides)


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
    keys: NDArray[np.uint64], group_starts: NDArray[np.int64], order: int, bits: int, sides: int
) -> NDArray[np.int64]:
    """From the sorted keys of each group, the shared n-grams for n = 1..order.

    From the highest order down: the runs of order n - 1 are unions of runs of order n, so each step works on the runs
    that the step before has left.
    """
    import numpy as np

    side_bits = (sides - 1).bit_length()
    # The highest bit in which a key differs from the one before it tells the longest prefix that they share.
    changes = np.empty_like(keys)
    np.bitwise_xor(keys[1:], keys[:-1], out=changes[1:])
    changes[group_starts] = np.iinfo(np.uint64).max
    starts = np.arange(len(keys) + 1, dtype=np.int32)
    # How many keys of each side stand before a place: the first string, then all others but the last.
    own = keys & np.uint64((1 << side_bits) - 1)
    before = np.zeros((sides - 1, len(keys) + 1), dtype=np.int32)
    for row in range(sides - 1):
        np.cumsum(own == np.uint64(sides - 1 - row), out=before[row, 1:])

    shared = np.empty((len(group_starts), order), dtype=np.int64)
    for n in range(order, 0, -1):
        runs = np.flatnonzero(changes >= np.uint64(1 << (side_bits + bits * (order - n))))
        changes = changes[runs]
        runs = np.append(runs, len(starts) - 1)
        starts, before = starts[runs], before[:, runs]
        of_sides = np.diff(before)
        from_first = of_sides[0]
        most = np.diff(starts) - of_sides.sum(axis=0)
        for others in of_sides[1:]:
            np.maximum(most, others, out=most)
        first_runs = np.searchsorted(starts, group_starts)
        shared[:, n - 1] = np.add.reduceat(np.minimum(from_first, most), first_runs, dtype=np.int64)
    return shared
