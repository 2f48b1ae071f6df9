"""The alignments of `alignment`, row by row for many pairs at once.

All pairs take the same row of their tables in the same step, so that an operation of numpy serves hundreds of them. The
band of a row is at most 51 columns wide: its cells are the bits of one 64-bit integer, whose lowest is the band's first
column. The longest hypotheses come first, so those that still have a row are always the first ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .alignment import BEAM_WIDTH

if TYPE_CHECKING:
    from numpy.typing import NDArray

# A reference more than this many times longer than the hypothesis has a wider band.
WIDEST_RATIO = 2 * BEAM_WIDTH
_ONE, _ALL = np.uint64(1), np.uint64(np.iinfo(np.uint64).max)
_WORD = 64
_EXPONENT, _EXPONENT_OF_A_HALF = np.uint64(52), np.uint64(1022)


def within_a_word(hypothesis_length: int, reference_length: int) -> bool:
    """Does the band of this pair fit into 64 bits?"""
    return 0 < reference_length <= WIDEST_RATIO * hypothesis_length


class References:
    """References of many pairs, with the places of every symbol; symbol 0 stands in none of them.

    ``symbols`` are all references one after another, ``first`` where each begins, ``lengths`` and ``distinct`` how many
    symbols each has. Symbols of different references are different numbers: ``base[k] + code`` for the k-th reference,
    whose codes count from 1.
    """

    def __init__(self, references: Sequence[str]) -> None:
        """Of strings whose code points count from 1 in the order of their first appearance."""
        codes = code_points(references)
        self.lengths = np.array([len(text) for text in references], dtype=np.int64)
        self.first = np.cumsum(self.lengths) - self.lengths
        distinct = np.maximum.reduceat(codes, self.first)
        self.base = np.cumsum(distinct) - distinct
        self.symbols = codes + np.repeat(self.base, self.lengths)

        places = np.arange(len(codes)) - np.repeat(self.first, self.lengths)
        order = np.argsort(self.symbols, kind="stable")
        self.places, self.place_at = places[order], order
        self.room = (np.repeat(self.lengths, self.lengths) - places)[order]
        self.place_count = np.bincount(self.symbols, minlength=int(distinct.sum()) + 1)
        self.place_first = np.cumsum(self.place_count) - self.place_count

        # Every symbol has the same number of words within a reference, and one more, so that two can always be read.
        words = self.lengths // _WORD + 2
        of_symbol = np.concatenate([[int(words.max())], np.repeat(words, distinct)])
        self.word_first = np.cumsum(of_symbol) - of_symbol
        words_of_places = self.word_first[self.symbols[order]] + self.places // _WORD
        bits = _ONE << (self.places % _WORD).astype(np.uint64)
        starts = np.flatnonzero(np.diff(words_of_places, prepend=-1))
        self.words = np.zeros(int(of_symbol.sum()), dtype=np.uint64)
        self.words[words_of_places[starts]] = np.bitwise_or.reduceat(bits, starts)

    def symbols_of(self, hypotheses: Sequence[str], which: NDArray[np.int64]) -> NDArray[np.int64]:
        """The symbols of hypotheses one after another; ``which`` is the reference of each."""
        codes = code_points(hypotheses)
        lengths = np.array([len(text) for text in hypotheses], dtype=np.int64)
        return np.where(codes > 0, codes + np.repeat(self.base[which], lengths), 0)


def ranges(first: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """The numbers of ranges one after another.

    >>> ranges(np.array([5, 1]), np.array([2, 3])).tolist()
    [5, 6, 1, 2, 3]
    """
    return np.arange(int(lengths.sum())) + np.repeat(first - np.cumsum(lengths) + lengths, lengths)


def code_points(texts: Sequence[str]) -> NDArray[np.int64]:
    """The code points of texts one after another."""
    return np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.int64)


@dataclass(frozen=True)
class Alignments:
    """What `alignment.WordAlignment` holds, for many pairs one after another."""

    distance: NDArray[np.int64]
    target: NDArray[np.int64]
    hypothesis_error: NDArray[np.bool_]
    reference_error: NDArray[np.bool_]


class Bands:
    """The bands of all rows of many pairs, all rows of the first pair first.

    ``lengths`` are those of the hypotheses, ``first`` says where the rows of each begin. ``before`` is the column
    before the window of a row, ``moved`` how far the window has moved on, ``right`` the columns right of the band of
    the row above, ``matching`` those where a match may be used.
    """

    def __init__(self, lengths: NDArray[np.int64], sizes: NDArray[np.int64]) -> None:
        """Of hypotheses and references of these lengths."""
        self.lengths = lengths
        self.first = np.cumsum(lengths) - lengths
        above = ranges(np.zeros_like(lengths), lengths)
        columns, limited = np.repeat(sizes, lengths), np.repeat(sizes >= BEAM_WIDTH, lengths)
        ratio = np.repeat(sizes / lengths, lengths)
        # As in `alignment.band`: the floor of the floating-point product.
        diagonal = np.floor((above + 1) * ratio).astype(np.int64)
        diagonal_above = np.floor(above * ratio).astype(np.int64)
        before = np.maximum(0, np.maximum(diagonal_above - BEAM_WIDTH, diagonal - BEAM_WIDTH - 1))
        before = np.where(limited, before, 0)
        limit = np.minimum(columns + 1, diagonal_above + BEAM_WIDTH)
        limit = np.where(limited & (above > 0), limit, columns + 1)
        known = limit - 1 - before  # columns of the window within the band of the row above
        bits = np.minimum(known, _WORD - 1).astype(np.uint64)
        self.before = before
        self.moved = np.diff(before, prepend=0).astype(np.uint64)
        self.moved[self.first] = 0
        self.right = np.where(known < _WORD, _ALL << bits, np.uint64(0))
        self.matching = np.where(known < _WORD - 1, ~(_ALL << bits + _ONE), _ALL)


@dataclass(frozen=True)
class _Rows:
    """The rows of some pairs, first all first rows, then all second ones, those of the longest hypotheses first.

    ``edges`` are the ends of the rows, ``order`` is that of the pairs, ``place`` is where pair by pair each of its rows
    stands. ``equal`` are the columns that hold the row's symbol and may be used; the others are as in `Bands`.
    """

    edges: list[int]
    order: NDArray[np.int64]
    place: NDArray[np.int64]
    before: NDArray[np.uint64]
    moved: NDArray[np.uint64]
    right: NDArray[np.uint64]
    matching: NDArray[np.uint64]
    equal: NDArray[np.uint64]


def align(references: References, bands: Bands, which: NDArray[np.int64], hypotheses: Sequence[str]) -> Alignments:
    r"""Align hypotheses with the references of these numbers; each pair must fit `within_a_word`.

    >>> references = References(["\x01\x02"])
    >>> align(references, Bands(np.array([3]), references.lengths), np.array([0]), ["\x02\x00\x01"]).distance.tolist()
    [3]
    """
    rows = _rows(references, bands, which, references.symbols_of(hypotheses, which))
    differs, no_more = _forward(rows)
    return _trace(rows, differs, no_more, bands.lengths[which], references.lengths[which])


def _rows(references: References, bands: Bands, which: NDArray[np.int64], symbols: NDArray[np.int64]) -> _Rows:
    lengths = bands.lengths[which]
    order = np.argsort(-lengths, kind="stable")
    longest_first = lengths[order]
    # How many pairs have each row.
    heights = np.searchsorted(-longest_first, -np.arange(1, longest_first[0] + 1), side="right")
    edges = np.concatenate([[0], np.cumsum(heights)])
    row = np.repeat(np.arange(len(heights)), heights)
    pair = ranges(np.zeros_like(heights), heights)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    place = edges[ranges(np.zeros_like(lengths), lengths)] + np.repeat(rank, lengths)

    symbol = symbols[(np.cumsum(lengths) - lengths)[order][pair] + row]
    of_bands = bands.first[which][order][pair] + row
    before, matching = bands.before[of_bands], bands.matching[of_bands]
    word, bit = references.word_first[symbol] + (before >> 6), (before & (_WORD - 1)).astype(np.uint64)
    equal = references.words[word] >> bit
    equal |= references.words[word + 1] << _ONE << (np.uint64(_WORD - 1) - bit)
    equal &= matching
    before = before.astype(np.uint64)
    return _Rows(edges.tolist(), order, place, before, bands.moved[of_bands], bands.right[of_bands], matching, equal)


def _forward(rows: _Rows) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Cells that differ from their diagonal neighbour, and cells that are not one over the neighbour above.

    The operations of `alignment`, some on the complements, which saves a few.
    """
    differs, no_more = np.empty_like(rows.equal), np.empty_like(rows.equal)
    height = rows.edges[1]
    increases, no_decrease = np.full(height, _ALL), np.full(height, _ALL)
    scratch = np.empty(height, dtype=np.uint64)
    for begin, end in zip(rows.edges[:-1], rows.edges[1:], strict=True):
        row = slice(begin, end)
        count = end - begin
        increases, no_decrease, stays = increases[:count], no_decrease[:count], scratch[:count]
        moved, right, equal, differ, no_grow = (
            rows.moved[row],
            rows.right[row],
            rows.equal[row],
            differs[row],
            no_more[row],
        )
        increases >>= moved
        increases |= right
        no_decrease >>= moved
        no_decrease |= right
        np.bitwise_and(equal, increases, out=stays)
        stays += increases
        stays ^= increases
        stays |= equal
        np.bitwise_or(stays, increases, out=no_grow)
        no_grow &= no_decrease
        increases &= stays
        increases <<= _ONE
        np.invert(stays, out=differ)
        differ &= no_decrease
        np.left_shift(no_grow, _ONE, out=stays)
        np.bitwise_or(stays, differ, out=no_decrease)
        stays &= differ
        increases |= stays
    return differs, no_more


def _trace(
    rows: _Rows,
    differs: NDArray[np.uint64],
    no_more: NDArray[np.uint64],
    lengths: NDArray[np.int64],
    sizes: NDArray[np.int64],
) -> Alignments:
    """Walk back from the last cells: in each row first past the columns that are missing there, then out of the row."""
    diagonal = (rows.equal | differs) & rows.matching
    leaves = (diagonal | ~no_more) & rows.matching
    diagonal <<= _ONE
    column = sizes[rows.order].astype(np.uint64)
    numbers = np.empty(len(column))
    highest_of, diagonal_of = np.empty_like(leaves), np.empty_like(leaves)
    for begin, end in zip(rows.edges[-2::-1], rows.edges[:0:-1], strict=True):
        row = slice(begin, end)
        current, number = column[: end - begin], numbers[: end - begin]
        before, highest, step = rows.before[row], highest_of[row], diagonal_of[row]
        np.subtract(current, before, out=step)
        np.left_shift(_ONE, step, out=step)
        step -= _ONE
        step &= leaves[row]
        # At most 51 bits, exact as floating-point numbers. The exponent tells the highest; a half stands for none.
        number[:] = step
        number += 0.5
        np.right_shift(number.view(np.uint64), _EXPONENT, out=highest)
        highest -= _EXPONENT_OF_A_HALF
        np.right_shift(diagonal[row], highest, out=step)
        step &= _ONE
        np.add(before, highest, out=current)
        current -= step

    left_at = (rows.before + highest_of).astype(np.int64)[rows.place]
    is_diagonal = diagonal_of.astype(np.int64)[rows.place]
    matched = (((rows.equal << _ONE) >> highest_of) & _ONE).astype(bool)[rows.place]
    first = np.cumsum(lengths) - lengths
    reached = left_at - is_diagonal  # the column in the row above
    # A reference position is aligned with the row in which the path passes it.
    ends = np.empty(len(lengths) + len(reached), dtype=np.int64)
    starts = first + np.arange(len(lengths))
    inner = np.ones(len(ends), dtype=bool)
    inner[starts] = False
    ends[starts] = 0
    ends[inner] = reached
    last = starts + lengths
    following = np.append(ends[1:], 0)
    following[last] = sizes
    row_of = np.arange(len(ends)) - np.repeat(starts, lengths + 1) - 1
    # Row 0 stands for what comes before the first word: from column 0 to where the path reaches it.
    target = np.repeat(row_of, following - ends)

    reference_error = np.ones(int(sizes.sum()), dtype=bool)
    column_first = np.repeat(np.cumsum(sizes) - sizes, lengths)
    reference_error[(column_first + left_at - 1)[matched]] = False
    errors = lengths - np.add.reduceat(matched.astype(np.int64), first)
    distance = errors + sizes - np.add.reduceat(is_diagonal, first)
    return Alignments(distance, target, ~matched, reference_error)
