"""Count the rows of a source whose key an earlier run has results of: they are not new.

Only the columns of the key are read of the results.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import DataFrame, SparkSession

from bedrock_spark.config import ResultsConfig
from bedrock_spark.run_folder.manifest import RunManifest
from bedrock_spark.spark.prepare.columns import KEY, key_column
from bedrock_spark.spark.results import Chosen, results_of
from bedrock_spark.storage import Storage


@dataclass(frozen=True)
class EarlierRows:
    """The rows of an earlier run that was collected.

    storage: of its folder; results: its config of results, as they were collected
    key: the columns of its key
    """

    storage: Storage
    manifest: RunManifest
    results: ResultsConfig
    key: tuple[str, ...]

    def count_in(self, spark: SparkSession, rows: DataFrame) -> int:
        """Return how many rows have a key that the earlier run has, too. Runs a Spark action.

        rows: with the columns of the key
        """
        chosen = Chosen(columns=frozenset(self.key))
        units = self.manifest.units
        earlier = results_of(spark, self.storage, self.results, self.manifest, units, chosen)
        keys = earlier.select(key_column(earlier, self.key).alias(KEY))
        own = rows.select(key_column(rows, self.key).alias(KEY))
        return own.join(keys, on=KEY, how="left_semi").count()
