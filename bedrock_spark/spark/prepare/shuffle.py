"""Repartition the rows by hash: add hash and key text to every row, then shuffle.

The hash of a row is that of its key. In a run without a key, or in which equal bodies share a
record, it is that of the body; then rows are rendered once before the shuffle to compute it. If
keys may repeat, another shuffle before that brings equal keys together (key_repeats.py).

A bucket has the hashes with one murmur3 modulo the number of buckets, as Spark's hash partitioning
makes them. After a lookup in the store of answers it has a range of hashes: the answers in a file
of the store are in the order of their hashes, so one task needs only its part of the store.
"""

from __future__ import annotations

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 - its usual name

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.config import Config
from bedrock_spark.shards.bucket_columns import buckets_of
from bedrock_spark.spark.prepare.body_hashes import HashBodies
from bedrock_spark.spark.prepare.columns import (
    HASH,
    KEY,
    REPEATED,
    TIE,
    column_of,
    hash_of_values,
    key_column,
)
from bedrock_spark.spark.prepare.source_columns import SourceColumns


def with_ids(
    df: DataFrame, columns: SourceColumns, config: Config, aws: AwsSettings, *, has_repeats: bool
) -> DataFrame:
    """Select hash, key text and the source columns that prepare needs. No Spark action runs.

    has_repeats: rows with one hash are expected

    KEY distinguishes rows with one hash: the key's text, or the SHA-256 of the body. TIE puts rows
    of one key in a fixed order; REPEATED is the row's key if an earlier row has it too. KEY is only
    added if rows with one hash are expected, TIE if several rows of one key can be valid, REPEATED
    if hashes are of bodies: every column costs time on its way to Python.
    """
    by_body = config.shares_records or not columns.key
    has_ties = by_body or config.source.on_duplicate_key == "first"
    null_text = F.lit(None).cast("string")
    key = key_column(df, columns.key) if columns.key else null_text
    keyed = df.select(
        F.xxhash64(key).alias(HASH),
        *([key.alias(KEY)] if has_repeats or has_ties else []),
        *([hash_of_values(df, columns.needed).alias(TIE)] if has_ties else []),
        *([null_text.alias(REPEATED)] if by_body else []),
        *(column_of(name) for name in columns.needed),
    )
    if not by_body:
        return keyed
    may_repeat = bool(columns.key) and not columns.has_unique_keys
    if may_repeat:
        # Equal keys can only be found within a partition: so first a shuffle by key.
        keyed = keyed.repartition(F.col(HASH)).sortWithinPartitions(*_sort_columns(keyed))
    return keyed.mapInArrow(HashBodies(config, aws, may_repeat), keyed.schema)


def shuffles_of(columns: SourceColumns, config: Config) -> int:
    """Return how many shuffles `with_ids` and `repartition_by_hash` make."""
    return 2 if config.shares_records and columns.key and not columns.has_unique_keys else 1


def repartition_by_hash(df: DataFrame, buckets: int) -> DataFrame:
    """Repartition rows into `buckets` partitions by HASH, each sorted by hash, key and tie-breaker.

    This is the shuffle of prepare; no Spark action runs. Spark's hash partitioning is the murmur3
    of HASH modulo the number of partitions (see shards/buckets.py). Each task checks that.

    By HASH alone, Spark sorts by radix, without comparisons.
    """
    return df.repartition(buckets, F.col(HASH)).sortWithinPartitions(*_sort_columns(df))


def repartition_by_range(df: DataFrame, buckets: int) -> DataFrame:
    """Repartition rows into `buckets` partitions by ranges of HASH, sorted like those by hash."""
    routed = df.repartition(buckets, route(F.col(HASH), buckets))
    return routed.sortWithinPartitions(*_sort_columns(df))


def route(hashed: Column, buckets: int) -> Column:
    """Return an expression that Spark's hash partitioning puts into the range of a hash.

    Spark has no partitioning by a number, but by the murmur3 of a number. So each range has a
    number that its murmur3 puts there. The range is computed as `part_of` does in hash_ranges.py.
    """
    numbers = _numbers_of(buckets)
    upper = F.shiftright(hashed, 32) + F.lit(1 << 31)
    bucket = F.shiftright(upper * F.lit(buckets), 32)
    return F.element_at(F.lit(numbers), (bucket + 1).cast("int")).cast("bigint")


def _numbers_of(buckets: int) -> list[int]:
    """Return a number for each bucket that Spark's hash partitioning puts there."""
    numbers: dict[int, int] = {}
    start, step = 0, max(1_000, 4 * buckets)
    while len(numbers) < buckets:
        tried = np.arange(start, start + step, dtype=np.int64)
        for number, bucket in zip(tried.tolist(), buckets_of(tried, buckets).tolist(), strict=True):
            numbers.setdefault(bucket, number)
        start += step
    return [numbers[bucket] for bucket in range(buckets)]


def _sort_columns(df: DataFrame) -> list[str]:
    return [name for name in (HASH, KEY, TIE) if name in df.columns]
