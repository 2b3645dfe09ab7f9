"""Read and publish tables whose jars Spark fetches, or that have a catalog of their own.

    python -m tests.e2e.lake_sessions HEADING...     in the folder that is to hold the lake

One JVM for all headings of docs/sources.md, since packages are for a JVM; for each heading a
session with the settings that the page gives. outcomes.json says of each example, and of publishing
by heading, what went wrong, if anything.
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
    """Return a session as the page sets it up for a heading, with the jars of all of them."""
    given = {e.heading: e.settings(lake) for e in examples("bash") if e.heading in headings}
    needs_jars = any("spark.jars.packages" in settings for settings in given.values())
    packages = packages_for(pyspark.__version__) if needs_jars else None
    settings = {
        **given[heading],
        "spark.jars.packages": ",".join(sorted(packages or ())),
        "spark.ui.enabled": "false",
        "spark.databricks.delta.snapshotPartitions": "2",  # of the log; 50 tasks for two rows
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.session.timeZone": "America/New_York",
    }
    builder = SparkSession.builder.master("local[2]")
    for name, value in settings.items():
        if value:
            builder = builder.config(name, value)
    return builder.getOrCreate()


def outcome(work: Callable[[], None]) -> str | None:
    """Do it; return what went wrong."""
    try:
        work()
    except Exception:  # noqa: BLE001 - whatever it is, it is the outcome of this example only
        return traceback.format_exc()
    return None


def main(headings: list[str]) -> None:
    here = Path.cwd()
    lake = here / "lake"
    outcomes: dict[str, str | None] = {}
    for heading in headings:
        spark = session(heading, headings, lake)
        failed = outcome(lambda: MAKERS[heading](spark, lake))  # noqa: B023 - called at once
        for example in (e for e in examples("yaml") if e.heading == heading):
            error = failed or outcome(lambda: check(spark, example, lake))  # noqa: B023
            outcomes[str(example)] = error
        if heading in PUBLISHERS:
            folder = here / "published" / heading.split()[0]
            outcomes[heading] = outcome(lambda: PUBLISHERS[heading](spark, folder))  # noqa: B023
        spark.stop()
    Path("outcomes.json").write_text(json.dumps(outcomes))


if __name__ == "__main__":
    main(sys.argv[1:])
