"""Find out whether two rows have one key, before rows that share records are repartitioned.

Such rows are repartitioned by their bodies, and then equal keys are no longer together. To
repartition whole rows by key, only to find that no key repeats, would double the work of Spark. So
only the hashes of keys are grouped: 8 bytes a row, of which Spark holds a bounded part in memory.
"""

from __future__ import annotations

from dataclasses import replace

from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 - its usual name

from bedrock_spark.config import Config
from bedrock_spark.spark.prepare.columns import HASH, key_column
from bedrock_spark.spark.prepare.source_columns import SourceColumns

# A partition of the source with more rows is too much for one task, which renders and hashes them:
# then the shuffle by key also spreads them.
_MOST_ROWS = 500_000
_PARTITION, _ROWS = "partition", "rows"


def with_known_keys(rows: DataFrame, columns: SourceColumns, config: Config) -> SourceColumns:
    """Return the columns, and with them whether it is known that no two rows have one key.

    rows: the needed columns of the source
    Runs one Spark action if the config lets rows share records: it reads the columns of the key.
    """
    if not config.shares_records or not columns.key:
        return columns
    hashes = rows.select(
        F.xxhash64(key_column(rows, columns.key)).alias(HASH),
        F.spark_partition_id().alias(_PARTITION),
    )
    by_key = hashes.groupBy(HASH).agg(
        F.count(F.lit(1)).alias(_ROWS), F.max(_PARTITION).alias(_PARTITION)
    )
    found = by_key.agg(F.max(_ROWS), F.sum(_ROWS), F.max(_PARTITION)).collect()
    most, total, last = found[0]
    is_spread = total is None or total <= _MOST_ROWS * (last + 1)
    return replace(columns, has_unique_keys=is_spread and (most is None or most == 1))
