"""Deal the rows into buckets: key text and hash on every row, then the one shuffle.

A row's hash is of its key. Without a key, or where equal bodies share a record, it is of the body,
so rows are rendered once before the shuffle to know it.
"""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 - what everybody calls it

from bedrock_spark.config import Config
from bedrock_spark.spark.prepare.body_hashes import HashBodies
from bedrock_spark.spark.prepare.columns import (
    BUCKET,
    HASH,
    KEY,
    REPEATED,
    TIE,
    column_of,
    hash_of_values,
    key_text,
)
from bedrock_spark.spark.prepare.source import SourceColumns


def with_ids(df: DataFrame, columns: SourceColumns, config: Config) -> DataFrame:
    """Select what prepare needs: hash, key text and the source columns.

    KEY is what tells rows of one hash apart: the key's text, or the digest of the body. TIE, which
    puts rows of one key in order, and REPEATED, a key that an earlier row has, come along only
    where rows of one key are no error: every column costs time on its way to Python.
    """
    by_body = config.request.dedupe or not columns.key
    has_ties = by_body or config.source.on_duplicate_key == "first"
    nothing = F.lit(None).cast("string")
    key = key_text(df, columns.key) if columns.key else nothing
    keyed = df.select(
        F.xxhash64(key).alias(HASH),
        key.alias(KEY),
        *([hash_of_values(df, columns.needed).alias(TIE)] if has_ties else []),
        *([nothing.alias(REPEATED)] if by_body else []),
        *(column_of(name) for name in columns.needed),
    )
    if not by_body:
        return keyed
    if columns.key:
        # Rows of one key must meet before they are dealt by their bodies.
        keyed = keyed.repartition(F.col(HASH)).sortWithinPartitions(*_order(keyed))
    return keyed.mapInArrow(HashBodies(config, bool(columns.key)), keyed.schema)


def repartition_by_hash(df: DataFrame, buckets: int) -> DataFrame:
    """Deal rows into buckets by their hash, sorted within: the one shuffle of the pipeline.

    The bucket is also a column: Spark's hash partitioning is the murmur3 of the column modulo the
    number of partitions, and the task checks that it got what it thinks it got.
    """
    bucket = F.pmod(F.hash(F.col(HASH)), F.lit(buckets)).cast("int")
    return (
        df.withColumn(BUCKET, bucket)
        .repartition(buckets, F.col(HASH))
        .sortWithinPartitions(*_order(df))
    )


def _order(df: DataFrame) -> list[str]:
    return [name for name in (HASH, KEY, TIE) if name in df.columns]
