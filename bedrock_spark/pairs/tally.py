"""Count what is equal and what differs in pairs of rows. Counts can be added up in any order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bedrock_spark.pairs.matching import Array, Keys, keys_of, whole_keys
from bedrock_spark.pairs.sides import OUTCOMES, Column, Place
from bedrock_spark.pairs.sums import NumberSums

# A column with more different values holds no labels.
MOST_LABELS = 200
_OK = OUTCOMES.index("ok")

# Two labels, of the first and of the second table, and how many pairs have them. None: no value.
Labels: TypeAlias = Counter[tuple[str | None, str | None]]


@dataclass(frozen=True)
class Question:
    """What is counted of two tables.

    first, second: the tables. If the first one has the true values, every pair in which it has a
        value counts, and a row of the second that is not ok has none
    columns: the indexes of the columns that are compared
    decisive: of these, those that make a pair differ if they do
    outcomes: codes that the row of run A must have; None for any
    samples: how many pairs that differ are named
    """

    first: Place
    second: Place
    columns: tuple[int, ...]
    decisive: tuple[int, ...]
    outcomes: frozenset[int] | None = None
    samples: int = 0


@dataclass(order=True, frozen=True)
class DifferentPair:
    """A pair that differs: the hash of its key, and the places of its rows in the tables.

    truth: the label of the first table, if that has true values
    """

    k1: int
    k2: int
    first: int = field(compare=False)
    second: int = field(compare=False)
    truth: str | None = field(default=None, compare=False)


@dataclass
class ColumnTally:
    """What was counted of a column.

    pairs: in which at least one row has a value; both: in which both have one
    equal, normal_equal: with the same value, and with the same normal form of it
    labels: None if there are too many or too long ones
    """

    pairs: int = 0
    both: int = 0
    equal: int = 0
    normal_equal: int = 0
    numbers: NumberSums = field(default_factory=NumberSums)
    labels: Labels | None = field(default_factory=Counter)

    def merge(self, other: ColumnTally) -> None:
        """Add what another one has counted."""
        self.pairs += other.pairs
        self.both += other.both
        self.equal += other.equal
        self.normal_equal += other.normal_equal
        self.numbers.merge(other.numbers)
        self.add_labels(other.labels)

    def add_labels(self, labels: Labels | None) -> None:
        """Add pairs of labels; None if a value is no label."""
        if labels is None or self.labels is None:
            self.labels = None
            return
        self.labels.update(labels)
        if len({label for pair in self.labels for label in pair}) > MOST_LABELS:
            self.labels = None


@dataclass
class Tally:
    """What was counted of two tables. The lists of two have a number for each table.

    paired: keys that both have; only: that one has; repeated: rows whose key other rows of their
        table have, or of a key that is ambiguous in either table; left_out: by their outcome;
        without_key: rows; both_ok: pairs; different: pairs of which the outcome or a decisive
        column differs
    outcomes: pairs by the codes of both outcomes
    """

    paired: int = 0
    both_ok: int = 0
    different: int = 0
    only: list[int] = field(default_factory=lambda: [0, 0])
    repeated: list[int] = field(default_factory=lambda: [0, 0])
    left_out: list[int] = field(default_factory=lambda: [0, 0])
    without_key: list[int] = field(default_factory=lambda: [0, 0])
    outcomes: Counter[tuple[int, int]] = field(default_factory=Counter)
    columns: dict[int, ColumnTally] = field(default_factory=dict)
    samples: list[DifferentPair] = field(default_factory=list)

    def merge(self, other: Tally, samples: int) -> None:
        """Add what another one has counted; keep the first `samples` pairs that differ."""
        self.paired += other.paired
        self.both_ok += other.both_ok
        self.different += other.different
        for own, others in (
            (self.only, other.only),
            (self.repeated, other.repeated),
            (self.left_out, other.left_out),
            (self.without_key, other.without_key),
        ):
            own[0] += others[0]
            own[1] += others[1]
        self.outcomes.update(other.outcomes)
        for index, column in other.columns.items():
            self.columns.setdefault(index, ColumnTally()).merge(column)
        self.samples = sorted(self.samples + other.samples)[:samples]


def tally(
    batches: Iterable[pa.RecordBatch], columns: tuple[Column, ...], questions: tuple[Question, ...]
) -> list[Tally]:
    """Return what is counted for each question.

    batches: compact rows, sorted by k1 and k2; all rows of a key are among them
    """
    tallies = [Tally() for _ in questions]
    for table in whole_keys(batches):
        keys = keys_of(table)
        for question, own in zip(questions, tallies, strict=True):
            _add(own, table, keys, columns, question)
    return tallies


def _add(
    own: Tally, table: pa.Table, keys: Keys, columns: tuple[Column, ...], question: Question
) -> None:
    first, second = _account(own, table, keys, question)
    codes = table.column("outcome").to_numpy()
    before, after = codes[first], codes[second]
    pairs, counts = np.unique(np.stack([before, after]), axis=1, return_counts=True)
    for code_1, code_2, count in zip(*pairs.tolist(), counts.tolist(), strict=True):
        own.outcomes[code_1, code_2] += count
    is_ok = (before == _OK) & (after == _OK)
    own.both_ok += int(np.count_nonzero(is_ok))
    differs = before != after
    has_truth = question.first is Place.GOLD
    for index in question.columns:
        counted = own.columns.setdefault(index, ColumnTally())
        if columns[index].is_measure:
            _add_numbers(counted, table, index, first, second)
            continue
        # With true values, an answer that is not ok is no value, and counts as wrong.
        chosen = np.ones(len(first), np.bool_) if has_truth else is_ok
        different = _compare(counted, table, index, columns[index], (first, second), chosen, is_ok)
        if has_truth:
            differs = different
        elif index in question.decisive:
            differs |= different
    own.different += int(np.count_nonzero(differs))
    _sample(own, table, question, first[differs], second[differs])


def _account(own: Tally, table: pa.Table, keys: Keys, question: Question) -> tuple[Array, Array]:
    """Count all rows of both tables; return the rows of the pairs."""
    places = question.first, question.second
    has = [keys.row[place] >= 0 for place in places]
    is_ambiguous = np.logical_or(*(keys.is_ambiguous[place] for place in places))
    is_left_out = np.zeros(len(is_ambiguous), np.bool_)
    if question.outcomes is not None:
        row = keys.row[Place.A]
        codes = table.column("outcome").to_numpy()
        wanted = np.isin(codes[np.maximum(row, 0)], list(question.outcomes))
        is_left_out = (row >= 0) & ~wanted & ~is_ambiguous
        if Place.A not in places:  # a row that run A does not have did not end so in it
            is_left_out |= (row < 0) & ~is_ambiguous
    if question.first is Place.GOLD:
        name = f"exact_{question.columns[0]}"
        is_null = pc.is_null(table.column(name)).to_numpy(zero_copy_only=False)
        is_left_out |= has[0] & is_null[np.maximum(keys.row[Place.GOLD], 0)] & ~is_ambiguous
    is_paired = has[0] & has[1] & ~is_ambiguous & ~is_left_out
    own.paired += int(np.count_nonzero(is_paired))
    for side, place in enumerate(places):
        rows = keys.rows[place]
        own.without_key[side] += keys.without_key[place]
        own.repeated[side] += int(rows[is_ambiguous].sum())
        own.repeated[side] += int((rows - 1)[has[side] & ~is_ambiguous].sum())
        own.left_out[side] += int(np.count_nonzero(has[side] & is_left_out))
        alone = has[side] & ~has[1 - side] & ~is_ambiguous & ~is_left_out
        own.only[side] += int(np.count_nonzero(alone))
    return keys.row[places[0]][is_paired], keys.row[places[1]][is_paired]


def _compare(
    counted: ColumnTally,
    table: pa.Table,
    index: int,
    column: Column,
    rows: tuple[Array, Array],
    chosen: Array,
    is_ok: Array,
) -> Array:
    """Count a column; tell of each pair whether it differs. chosen: the pairs that count."""
    exact, normal = table.column(f"exact_{index}"), table.column(f"normal_{index}")
    has_value = pc.is_valid(exact).to_numpy(zero_copy_only=False)
    has = [has_value[side] & (chosen if i == 0 else chosen & is_ok) for i, side in enumerate(rows)]
    either, both = has[0] | has[1], has[0] & has[1]
    hashes = pc.fill_null(exact, 0).to_numpy()
    normals = pc.fill_null(normal, 0).to_numpy()
    is_equal = both & (hashes[rows[0]] == hashes[rows[1]])
    is_normal_equal = both & (normals[rows[0]] == normals[rows[1]])
    counted.pairs += int(np.count_nonzero(either))
    counted.both += int(np.count_nonzero(both))
    counted.equal += int(np.count_nonzero(is_equal))
    counted.normal_equal += int(np.count_nonzero(is_normal_equal))
    if column.is_number:
        _add_numbers(counted, table, index, rows[0][both], rows[1][both])
    if counted.labels is not None:
        counted.add_labels(_labels(table, index, rows, has, either))
    differs: Array = either & ~is_equal
    return differs


def _add_numbers(
    counted: ColumnTally, table: pa.Table, index: int, first: Array, second: Array
) -> None:
    numbers = table.column(f"number_{index}").to_numpy()
    left, right = numbers[first], numbers[second]
    both = ~(np.isnan(left) | np.isnan(right))
    counted.numbers.add(left[both], right[both])


def _labels(
    table: pa.Table, index: int, rows: tuple[Array, Array], has: list[Array], either: Array
) -> Labels | None:
    """Return the pairs of labels; None if a value is too long to be a label, or there are many."""
    encoded = pc.dictionary_encode(table.column(f"label_{index}").combine_chunks())
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    codes = pc.fill_null(encoded.indices, -1).to_numpy().astype(np.int64)
    sides = [np.where(one, codes[side], -1) for one, side in zip(has, rows, strict=True)]
    if any(bool(np.any(one & (code < 0))) for one, code in zip(has, sides, strict=True)):
        return None
    texts: list[Any] = [*encoded.dictionary.to_pylist(), None]
    width = len(texts)
    pairs, counts = np.unique(
        sides[0][either] % width * width + sides[1][either] % width, return_counts=True
    )
    if len(pairs) > MOST_LABELS**2:
        return None
    found = zip(pairs.tolist(), counts.tolist(), strict=True)
    return Counter({(texts[pair // width], texts[pair % width]): count for pair, count in found})


def _sample(own: Tally, table: pa.Table, question: Question, first: Array, second: Array) -> None:
    """Keep the first pairs that differ in the order of their keys, which are hashes: a sample."""
    missing = question.samples - len(own.samples)
    for left, right in zip(first[:missing].tolist(), second[:missing].tolist(), strict=True):
        k1, k2 = (table.column(name)[left].as_py() for name in ("k1", "k2"))
        place_1, place_2 = (table.column("place")[row].as_py() for row in (left, right))
        truth = None
        if question.first is Place.GOLD:
            truth = table.column(f"label_{question.columns[0]}")[left].as_py()
        own.samples.append(DifferentPair(k1, k2 >> 2, place_1, place_2, truth))
