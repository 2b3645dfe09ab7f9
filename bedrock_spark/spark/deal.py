"""Deal the rows into buckets: key text and hash on every row, then the one shuffle.

A row's hash is of its key. Without a key, or where equal bodies share a record, it is of the body,
so rows are rendered once before the shuffle to know it.
"""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 - what everybody calls it

from bedrock_spark.config import Config
from bedrock_spark.spark.body_hashes import HashBodies
from bedrock_spark.spark.columns import column_of, hash_of_values, key_text
from bedrock_spark.spark.derived import BUCKET, HASH, KEY, REPEATED, TIE
from bedrock_spark.spark.source import SourceColumns


def with_ids(df: DataFrame, columns: SourceColumns, config: Config) -> DataFrame:
    """Select what prepare needs: hash, key text, tie-break, repeated key, and the source columns.

    KEY is what tells rows of one hash apart: the key's text, or the digest of the body.
    """
    by_body = config.request.dedupe or not columns.key
    keyed = _select(df, columns, has_ties=by_body or config.source.on_duplicate_key == "first")
    if not by_body:
        return keyed
    if columns.key:
        # Rows of one key must meet before they are dealt by their bodies.
        keyed = keyed.repartition(F.col(HASH)).sortWithinPartitions(HASH, KEY, TIE)
    return keyed.mapInArrow(HashBodies(config, bool(columns.key)), keyed.schema)


def _select(df: DataFrame, columns: SourceColumns, has_ties: bool) -> DataFrame:
    nothing = F.lit(None).cast("string")
    key = key_text(df, columns.key) if columns.key else nothing
    tie = hash_of_values(df, columns.needed) if has_ties else F.lit(0).cast("bigint")
    return df.select(
        F.xxhash64(key).alias(HASH),
        key.alias(KEY),
        tie.alias(TIE),
        nothing.alias(REPEATED),
        *(column_of(name) for name in columns.needed),
    )


def into_buckets(df: DataFrame, buckets: int) -> DataFrame:
    """Deal rows into buckets by their hash, sorted within: the one shuffle of the pipeline.

    The bucket is also a column: Spark's hash partitioning is the murmur3 of the column modulo the
    number of partitions, and the task checks that it got what it thinks it got.
    """
    bucket = F.pmod(F.hash(F.col(HASH)), F.lit(buckets)).cast("int")
    return (
        df.withColumn(BUCKET, bucket)
        .repartition(buckets, F.col(HASH))
        .sortWithinPartitions(HASH, KEY, TIE)
    )
