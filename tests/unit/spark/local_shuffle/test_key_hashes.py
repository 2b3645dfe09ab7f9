"""Keys have the hashes that anyone can recompute, or are left to Spark."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from bedrock_spark.shards.record_ids import joined_key, key_hash
from bedrock_spark.spark.by_arrow.needs_spark import NeedsSparkError
from bedrock_spark.spark.local_shuffle.key_hashes import is_hashed, key_hashes

TEXTS = ["T-1", "", "null", None, "é\u2028\U0001f600", 'a "quote"', "back\\slash", "x" * 500]
MOMENT = dt.datetime(2026, 11, 1, 5, 6, 7, 89, dt.UTC)
MICROS = 1793509567000089
# Values, their type, and their texts in the key.
COLUMNS: list[tuple[list[Any], pa.DataType, list[str | None]]] = [
    (TEXTS, pa.string(), TEXTS),
    ([0, -1, None, 1 << 62], pa.int64(), ["0", "-1", None, "4611686018427387904"]),
    ([5, None], pa.int8(), ["5", None]),
    ([True, False, None], pa.bool_(), ["true", "false", None]),
    ([dt.date(2026, 2, 3), None], pa.date32(), ["2026-02-03", None]),
    ([MOMENT, None], pa.timestamp("us", "Asia/Kathmandu"), [str(MICROS), None]),
]


def hashes_of(keys: list[list[str | None]]) -> list[int]:
    """Return the signed hashes of some keys."""
    unsigned = np.array([key_hash(joined_key(key)) for key in keys], np.uint64)
    hashes: list[int] = unsigned.view(np.int64).tolist()
    return hashes


@pytest.mark.parametrize(("values", "kind", "texts"), COLUMNS, ids=[str(c[1]) for c in COLUMNS])
def test_a_key_of_one_column(values: list[Any], kind: pa.DataType, texts: list[str | None]) -> None:
    assert is_hashed(kind)
    # A slice, too: its bytes begin within the buffer.
    column = pa.array([values[0], *values], kind)
    assert key_hashes([column]).tolist() == hashes_of([[texts[0]], *([t] for t in texts)])
    assert key_hashes([column[1:]]).tolist() == hashes_of([[t] for t in texts])


def test_a_key_of_several_columns() -> None:
    numbers = list(range(len(TEXTS)))
    hashes = key_hashes([pa.array(TEXTS), pa.array(numbers)])
    assert hashes.tolist() == hashes_of([[t, str(n)] for t, n in zip(TEXTS, numbers, strict=True)])
    assert key_hashes([pa.array([], pa.string())]).tolist() == []


@pytest.mark.parametrize("text", [b"\x1f", b"a\nb", b"\x00", b"\xff"])
def test_what_spark_may_write_otherwise_is_left_to_it(text: bytes) -> None:
    """In a slice, only its own texts count."""
    column = pa.Array.from_buffers(pa.string(), 2, pa.array([b"good", text]).buffers())
    with pytest.raises(NeedsSparkError, match="a text of the key"):
        key_hashes([column])
    assert key_hashes([column[:1]]).tolist() == hashes_of([["good"]])


@pytest.mark.parametrize(
    "kind",
    [pa.float64(), pa.decimal128(9, 2), pa.timestamp("us"), pa.binary(), pa.list_(pa.int8())],
)
def test_types_whose_texts_may_differ_are_left_to_spark(kind: pa.DataType) -> None:
    assert not is_hashed(kind)
