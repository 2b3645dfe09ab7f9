"""Read and publish tables that need jars from a repository, or a catalog of their own.

    python -m tests.e2e.lake_sessions HEADING...     in an empty folder, which will hold the lake

All headings of docs/lakehouse.md share one JVM, because packages can be added only when a JVM
starts. Each heading has its own session, with the settings of the page. The file outcomes.json has
an error or null for each example, and for publishing under each heading. The catalogs of Iceberg
that are services keep their tables in the S3 of a local Bedrock; moto has the Glue catalog.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyspark
from moto.server import ThreadedMotoServer
from pyspark.sql import SparkSession

from bedrock_emulator import LocalBedrock
from tests.e2e.publish_formats import PUBLISHERS
from tests.e2e.table_formats import MAKERS, check
from tests.sources_doc import LAKEHOUSE, examples, packages_for

# The headings whose warehouse is in S3. Iceberg itself reads and writes there, not Spark.
IN_S3 = ("Glue catalog", "JDBC catalog")
BUCKET = "lake"


def session(
    heading: str, headings: list[str], lake: Path, services: Mapping[str, str]
) -> SparkSession:
    """Return a session with the page's settings for `heading` and the jars of all `headings`.

    services: Spark's settings of the services of this machine
    """
    by_heading = {
        e.heading: e.settings(f"s3://{BUCKET}" if heading in IN_S3 else lake)
        for e in examples("bash", LAKEHOUSE)
        if e.heading in headings
    }
    settings = {
        **by_heading[heading],
        **(services if heading in IN_S3 else {}),
        "spark.jars.packages": ",".join(packages(by_heading)),
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


def packages(by_heading: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Return the packages of all headings; the table formats in those of this version of Spark."""
    named = {
        package
        for settings in by_heading.values()
        for package in settings.get("spark.jars.packages", "").split(",")
        if package
    }
    formats = packages_for("3.5.0") or set()
    more = (packages_for(pyspark.__version__) or set()) if named else set()
    return sorted((named - formats) | more)


@contextmanager
def local_services(headings: Sequence[str]) -> Iterator[dict[str, str]]:
    """Start an S3 and a Glue, if a heading needs them; yield Spark's settings for both."""
    if not any(heading in IN_S3 for heading in headings):
        yield {}
        return
    glue = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    glue.start()
    try:
        with LocalBedrock() as local:
            local.client("s3").create_bucket(Bucket=BUCKET)
            host, port = glue.get_host_and_port()
            yield {
                "spark.sql.catalog.lake.s3.endpoint": local.endpoint_url,
                "spark.sql.catalog.lake.s3.path-style-access": "true",
                "spark.sql.catalog.lake.client.region": "us-east-1",
                "spark.sql.catalog.lake.glue.endpoint": f"http://{host}:{port}",
            }
    finally:
        glue.stop()


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
    with local_services(headings) as services:
        use_all(headings, folder, lake, services, outcomes)
    Path("outcomes.json").write_text(json.dumps(outcomes))


def use_all(
    headings: list[str],
    folder: Path,
    lake: Path,
    services: Mapping[str, str],
    outcomes: dict[str, str | None],
) -> None:
    for heading in headings:
        spark = session(heading, headings, lake, services)
        make_error = outcome(lambda: MAKERS[heading](spark, lake))  # noqa: B023 - called at once
        for example in (e for e in examples("yaml", LAKEHOUSE) if e.heading == heading):
            error = make_error or outcome(lambda: check(spark, example, lake))  # noqa: B023
            outcomes[str(example)] = error
        if heading in PUBLISHERS:
            target = folder / "published" / heading.split()[0]
            outcomes[heading] = outcome(lambda: PUBLISHERS[heading](spark, target))  # noqa: B023
        spark.stop()


if __name__ == "__main__":
    main(sys.argv[1:])
