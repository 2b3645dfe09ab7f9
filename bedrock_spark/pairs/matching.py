"""Pair compact rows that are sorted by key: one pass, a few rows in memory.

A key names one row of a table. What is done about tables that break this rule:

- Rows without a key, or with a null in it, are not paired.
- A rejected row does not count if another row of its table has the key: as with
  `source.on_duplicate_key: first`.
- Rows of a key that share a record have one answer. They count as one row.
- Any other key that several rows have is ambiguous: none of them is paired.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from bedrock_spark.errors import ConfigError
from bedrock_spark.pairs.sides import OUTCOMES, WITHOUT_KEY, Place

Array = np.ndarray[Any, Any]

# How many rows are paired at a time, and how many rows may have one key.
CHUNK_ROWS = 65_536
MOST_OF_A_KEY = 1_000_000
_REJECTED = OUTCOMES.index("rejected")
_LEAST, _MOST = np.iinfo(np.int64).min, np.iinfo(np.int64).max


@dataclass(frozen=True)
class Keys:
    """The keys of some compact rows. All arrays have an element for each key.

    row: of each table, by `Place`, the index of the row that stands for the key; -1 if none does
    rows: of each table, how many rows have the key
    is_ambiguous: of each table, whether several rows have the key, and it is not clear which counts
    without_key: of each table, the number of rows that have no key; these are in no array
    """

    row: tuple[Array, ...]
    rows: tuple[Array, ...]
    is_ambiguous: tuple[Array, ...]
    without_key: tuple[int, ...]


def whole_keys(batches: Iterable[pa.RecordBatch], rows: int = CHUNK_ROWS) -> Iterator[pa.Table]:
    """Yield the rows in tables of about `rows` rows, none of which ends within a key.

    batches: compact rows, sorted by k1 and k2
    Raises ConfigError if more than MOST_OF_A_KEY rows have one key.
    """
    waiting: list[pa.RecordBatch] = []
    number = 0
    for batch in batches:
        if batch.num_rows:
            waiting.append(batch)
            number += batch.num_rows
        if number < rows:
            continue
        table = pa.Table.from_batches(waiting).combine_chunks()
        end = _start_of_last_key(table)
        if end:
            yield table.slice(0, end)
        rest = table.slice(end)
        if rest.num_rows > MOST_OF_A_KEY:
            raise ConfigError(
                f"--key: more than {MOST_OF_A_KEY:,} rows have the same value, so it is no key; "
                "name the columns that tell rows apart"
            )
        waiting, number = rest.combine_chunks().to_batches(), rest.num_rows
    if waiting:
        yield pa.Table.from_batches(waiting).combine_chunks()


def _start_of_last_key(table: pa.Table) -> int:
    first, second = _numpy(table, "k1"), _numpy(table, "k2") >> 2
    others = (first != first[-1]) | (second != second[-1])
    found = np.flatnonzero(others)
    return int(found[-1]) + 1 if found.size else 0


def _numpy(table: pa.Table, name: str) -> Array:
    found: Array = table.column(name).to_numpy()
    return found


def keys_of(table: pa.Table) -> Keys:
    """Return the keys of compact rows, which are sorted by k1 and k2 and end with a whole key."""
    first, second = _numpy(table, "k1"), _numpy(table, "k2")
    outcome, record = _numpy(table, "outcome"), _numpy(table, "record")
    place = _numpy(table, "place")
    without = outcome == WITHOUT_KEY
    tables = (second & 3).astype(np.int8)
    without_key = tuple(int(np.count_nonzero(without & (tables == each))) for each in Place)
    kept = np.flatnonzero(~without)
    if not kept.size:
        none = np.zeros(0, np.int64)
        return Keys((none,) * 3, (none,) * 3, (none.astype(np.bool_),) * 3, without_key)
    first, second, record, place = (each[kept] for each in (first, second, record, place))
    is_rejected = outcome[kept] == _REJECTED
    # A group is the rows of one key in one table.
    is_new_key = _differs(first) | _differs(second >> 2)
    is_new_group = is_new_key | _differs(second)
    starts = np.flatnonzero(is_new_group)
    group_of = np.cumsum(is_new_group) - 1
    rows = np.diff(np.append(starts, len(first)))
    asked = np.add.reduceat((~is_rejected).astype(np.int64), starts)
    least = np.minimum.reduceat(np.where(is_rejected, _MOST, record), starts)
    most = np.maximum.reduceat(np.where(is_rejected, _LEAST, record), starts)
    is_ambiguous = ((asked > 1) & (least != most)) | ((asked == 0) & (rows > 1))
    # The row in the first place counts: a bit puts rejected rows behind all others.
    is_first = place == np.minimum.reduceat(place, starts)[group_of]
    candidates = np.flatnonzero(is_first)[::-1]
    chosen = np.empty(len(starts), np.int64)
    chosen[group_of[candidates]] = kept[candidates]
    key_of = (np.cumsum(is_new_key) - 1)[starts]
    keys, table_of = int(key_of[-1]) + 1, (second & 3)[starts]
    return Keys(
        tuple(_spread(chosen, key_of, table_of == each, keys, -1) for each in Place),
        tuple(_spread(rows, key_of, table_of == each, keys, 0) for each in Place),
        tuple(_spread(is_ambiguous, key_of, table_of == each, keys, False) for each in Place),
        without_key,
    )


def _differs(values: Array) -> Array:
    """Tell of each value whether it is another than the one before; the first one is."""
    found: Array = np.ones(len(values), np.bool_)
    found[1:] = values[1:] != values[:-1]
    return found


def _spread(values: Array, key_of: Array, is_of_table: Array, keys: int, if_none: int) -> Array:
    """Return an element for each key: that of its group in a table, or `if_none`."""
    found: Array = np.full(keys, if_none, values.dtype)
    found[key_of[is_of_table]] = values[is_of_table]
    return found
