"""Read and publish tables that need jars from a repository, or a catalog of their own.

    python -m tests.e2e.lake_sessions HEADING...     in an empty folder, which will hold the lake

All headings of docs/sources.md share one JVM, because packages can be added only when a JVM starts.
Each heading has its own session, with the settings of the page. The file outcomes.json holds an
error or null for each example, and for publishing under each heading.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import pyspark
from pyspark.sql import SparkSession

from tests.e2e.publish_formats import PUBLISHERS
from tests.e2e.table_formats import MAKERS, check
from tests.sources_doc import examples, packages_for


def session(heading: str, headings: list[str], lake: Path) -> SparkSession:
    """Return a session with the page's settings for `heading` and the jars of all `headings`."""
    by_heading = {e.heading: e.settings(lake) for e in examples("bash") if e.heading in headings}
    needs_jars = any("spark.jars.packages" in settings for settings in by_heading.values())
    packages = packages_for(pyspark.__version__) if needs_jars else None
    settings = {
        **by_heading[heading],
        "spark.jars.packages": ",".join(sorted(packages or ())),
        "spark.ui.enabled": "false",
        "spark.databricks.delta.snapshotPartitions": "2",  # the default, 50, is slow for a few rows
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.session.timeZone": "America/New_York",
    }
    builder = SparkSession.builder.master("local[2]")
    for name, value in settings.items():
        if value:
            builder = builder.config(name, value)
    return builder.getOrCreate()


def outcome(work: Callable[[], None]) -> str | None:
    """Do the work; return the traceback if it failed, or None."""
    try:
        work()
    except Exception:  # noqa: BLE001 - any error is the outcome of this example only
        return traceback.format_exc()
    return None


def main(headings: list[str]) -> None:
    folder = Path.cwd()
    lake = folder / "lake"
    outcomes: dict[str, str | None] = {}
    for heading in headings:
        spark = session(heading, headings, lake)
        make_error = outcome(lambda: MAKERS[heading](spark, lake))  # noqa: B023 - called at once
        for example in (e for e in examples("yaml") if e.heading == heading):
            error = make_error or outcome(lambda: check(spark, example, lake))  # noqa: B023
            outcomes[str(example)] = error
        if heading in PUBLISHERS:
            target = folder / "published" / heading.split()[0]
            outcomes[heading] = outcome(lambda: PUBLISHERS[heading](spark, target))  # noqa: B023
        spark.stop()
    Path("outcomes.json").write_text(json.dumps(outcomes))


if __name__ == "__main__":
    main(sys.argv[1:])
