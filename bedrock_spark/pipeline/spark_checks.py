"""What is checked once in a process before Spark works on a run. No row is read."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bedrock_spark.report import Reporter
from bedrock_spark.report.findings import changed_source_finding
from bedrock_spark.run_folder.manifest import RunManifest
from bedrock_spark.run_folder.run import Run
from bedrock_spark.run_folder.source_change import change_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

log = logging.getLogger(__name__)


@dataclass
class SparkChecks:
    """The checks of one process.

    run: returns the run as it is now
    reporter: its reports name what was found
    """

    run: Callable[[], Run]
    reporter: Reporter
    _is_shared: bool = False
    _is_compared: bool = False

    def check_shared(self, spark: SparkSession) -> None:
        """Raise an error, once, unless the driver and the executors share the run folder."""
        from bedrock_spark.spark.probe import check_shared

        if not self._is_shared:
            check_shared(spark, self.run().storage)
            self._is_shared = True

    def note_change(
        self, spark: SparkSession, manifest: RunManifest, df: DataFrame | None = None
    ) -> None:
        """Warn, once, if the source has changed since it was prepared."""
        from bedrock_spark.spark.source_state import state_of

        if self._is_compared or manifest.source is None:
            return
        self._is_compared = True
        run = self.run()
        now = state_of(spark, run.config.source, df, run.aws)
        change = change_of(manifest.source, now)
        if change is not None:
            finding = changed_source_finding(change)
            log.warning("%s: %s", run.storage.uri, finding["detail"])
            self.reporter.note(finding)
