"""Count the rows of a source whose key an earlier run has results of: they are not new.

Of the results, only the columns of the key and the outcome are read.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - its usual name

from bedrock_spark.config import ResultsConfig
from bedrock_spark.outputs.outcomes import OK
from bedrock_spark.run_folder.manifest import RunManifest
from bedrock_spark.run_folder.prepared import KnownKeys
from bedrock_spark.schema import INTERNAL_PREFIX
from bedrock_spark.spark.errors import SPARK_ERRORS, explain, own_error
from bedrock_spark.spark.prepare.columns import KEY, column_of, key_column
from bedrock_spark.spark.results import Chosen, results_of
from bedrock_spark.storage import Storage

log = logging.getLogger(__name__)

_IS_OK = f"{INTERNAL_PREFIX}is_ok"


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

    def count_in(self, spark: SparkSession, rows: DataFrame) -> KnownKeys | None:
        """Count the rows that have a key that the earlier run has, too. Runs a Spark action.

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

    def _count_in(self, spark: SparkSession, rows: DataFrame) -> KnownKeys:
        outcome = self.results.outcome_column
        chosen = Chosen(columns=frozenset((*self.key, outcome)))
        units = self.manifest.units
        earlier = results_of(spark, self.storage, self.results, self.manifest, units, chosen)
        is_ok = (column_of(outcome) == OK).alias(_IS_OK)
        keys = earlier.select(key_column(earlier, self.key).alias(KEY), is_ok)
        # A key has several rows if its repeats were rejected.
        keys = keys.groupBy(KEY).agg(F.max(_IS_OK).alias(_IS_OK))
        own = rows.select(key_column(rows, self.key).alias(KEY))
        counted = own.join(keys, on=KEY, how="inner").groupBy(_IS_OK).count().collect()
        counts = {bool(row[_IS_OK]): int(row["count"]) for row in counted}
        return KnownKeys(counts.get(True, 0), counts.get(False, 0))
