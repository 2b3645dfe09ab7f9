"""Count the rows of a source whose key an earlier run has results of: they are not new.

Only the columns of the key are read of the results.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from pyspark.sql import DataFrame, SparkSession

from bedrock_spark.config import ResultsConfig
from bedrock_spark.run_folder.manifest import RunManifest
from bedrock_spark.spark.errors import SPARK_ERRORS, explain, own_error
from bedrock_spark.spark.prepare.columns import KEY, key_column
from bedrock_spark.spark.results import Chosen, results_of
from bedrock_spark.storage import Storage

log = logging.getLogger(__name__)


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

    def count_in(self, spark: SparkSession, rows: DataFrame) -> int | None:
        """Return how many rows have a key that the earlier run has, too. Runs a Spark action.

        rows: with the columns of the key
        None, with a warning, if the results of the earlier run cannot be read: the rows of a plan
        are the same without them.
        """
        try:
            return self._count_in(spark, rows)
        except SPARK_ERRORS as exc:
            why = own_error(exc) or explain(exc).text
            log.warning("%s: which rows are new is not known: %s", self.storage.uri, why)
            return None

    def _count_in(self, spark: SparkSession, rows: DataFrame) -> int:
        chosen = Chosen(columns=frozenset(self.key))
        units = self.manifest.units
        earlier = results_of(spark, self.storage, self.results, self.manifest, units, chosen)
        keys = earlier.select(key_column(earlier, self.key).alias(KEY))
        own = rows.select(key_column(rows, self.key).alias(KEY))
        return own.join(keys, on=KEY, how="left_semi").count()
