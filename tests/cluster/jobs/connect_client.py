"""A notebook over Spark Connect: python connect_client.py REMOTE ARCHIVE CONFIG OUTPUT."""

import json
import sys
from pathlib import Path

import yaml
from pyspark.sql import SparkSession

import bedrock_spark


def main(remote: str, archive: str, config: str, output: str) -> None:
    """Send the environment to the executors, ask, and write how many rows had each outcome,
    and the details of the progress by stage."""
    spark = SparkSession.builder.remote(remote).getOrCreate()
    spark.addArtifact(f"{archive}#environment", archive=True)
    spark.conf.set("spark.sql.execution.pyspark.python", "environment/bin/python")
    values = yaml.safe_load(Path(config).read_text())
    rows = spark.read.parquet(values["source"].pop("path"))
    values["source"].pop("format")
    steps: dict[str, list[str]] = {}
    answers = bedrock_spark.run(
        spark, rows, values, lambda p: steps.setdefault(p.stage, []).append(p.detail)
    )
    counts = answers.groupBy("outcome", "served_by").count().collect()
    found = {"counts": [tuple(row) for row in counts], "steps": steps}
    Path(output).write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
