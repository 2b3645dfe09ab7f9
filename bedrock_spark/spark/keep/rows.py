"""Results as rows of the store of answers: one for each record, whose hash its id tells.

A record id is the hash of the body in base 62 (shards/record_ids.py). If two bodies have one hash,
the id of the second is salted: its hash cannot be told, and its answer is not kept.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from bedrock_spark.answers.table import BODY_HASH, SCHEMA
from bedrock_spark.shards.record_ids import ALPHABET, LENGTH, encode

# The last id that is a hash. Ids sort as their numbers do: the alphabet is in the order of ASCII.
_LAST_ID = encode((1 << 64) - 1)
_DIGITS = np.zeros(256, np.uint64)
_DIGITS[list(ALPHABET.encode())] = range(len(ALPHABET))
_COST, _RECORD_ID = "cost_usd", "record_id"


def is_hash(record_ids: pa.Array) -> pa.Array:
    """Tell of each record id whether it is a hash, and not salted; false for a null."""
    is_long = pc.equal(pc.binary_length(record_ids), LENGTH)
    return pc.fill_null(pc.and_(is_long, pc.less_equal(record_ids, _LAST_ID)), False)


def hashes_of(record_ids: pa.Array) -> npt.NDArray[np.int64]:
    """Return the signed hash of each record id. All of them must be hashes."""
    # A copy begins at the start of its buffer, whatever slice it was.
    texts = pa.concat_arrays([record_ids.cast(pa.string())]).cast(pa.binary(LENGTH))
    data = np.frombuffer(texts.buffers()[1], np.uint8)
    start = texts.offset * LENGTH
    digits = data[start : start + len(texts) * LENGTH].reshape(-1, LENGTH)
    numbers = np.zeros(len(texts), np.uint64)
    for place in range(LENGTH):
        numbers = numbers * np.uint64(len(ALPHABET)) + _DIGITS[digits[:, place]]
    return numbers.view(np.int64)


def answers_of(results: pa.RecordBatch) -> pa.RecordBatch:
    """Return results as rows of the store, in their order.

    results: the columns of the store without the hash, of rows whose record ids are hashes
    """
    hashes = pa.array(hashes_of(results.column(_RECORD_ID)), pa.int64())
    columns = [
        hashes if field.name == BODY_HASH else results.column(field.name).cast(field.type)
        for field in SCHEMA
    ]
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)


def merged(rows: pa.RecordBatch) -> pa.RecordBatch:
    """Return the first of rows that follow each other and share a record, with the sum of costs.

    The sum is null if one of them is.
    """
    ids = rows.column(_RECORD_ID)
    if rows.num_rows < 2:
        return rows
    is_first = np.ones(rows.num_rows, np.bool_)
    is_first[1:] = pc.not_equal(ids[1:], ids[:-1]).to_numpy(zero_copy_only=False)
    if is_first.all():
        return rows
    costs = rows.column(_COST)
    group = np.cumsum(is_first) - 1
    known = np.nan_to_num(costs.to_numpy(zero_copy_only=False).astype(np.float64))
    sums = np.bincount(group, weights=known)
    is_unknown = np.bincount(group, weights=costs.is_null().to_numpy(zero_copy_only=False)) > 0
    first = rows.filter(pa.array(is_first))
    place = rows.schema.get_field_index(_COST)
    return first.set_column(place, _COST, pa.array(sums, pa.float64(), mask=is_unknown))
