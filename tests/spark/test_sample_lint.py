"""What the model would refuse in the bodies of the first rows is found before it is paid for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812

from bedrock_spark.clock import SystemClock
from bedrock_spark.errors import ConfigError
from bedrock_spark.run_folder.manifest import RunManifest
from bedrock_spark.run_folder.run import open_run
from bedrock_spark.spark.prepare.stage import prepare
from tests.spark_sessions import make_config

BODY: dict[str, Any] = {
    "anthropic_version": "bedrock-2023-05-31",
    "max_tokens": 9,
    "temperature": "{{ heat }}",
    "messages": [{"role": "{{ role }}", "content": "{{ body }}"}],
}


def prepared(
    spark: SparkSession, folder: Path, *, wrong: int, heat: str = "double", **sections: Any
) -> RunManifest:
    """Prepare 200 rows; those with a number below `wrong` have values that Claude refuses.

    heat: the type of the column `heat`
    """
    is_wrong = F.col("id") < wrong
    rows = spark.range(200, numPartitions=1).select(
        "id",
        F.concat(F.lit("secret "), "id").alias("body"),
        F.when(is_wrong, F.lit(1.5)).otherwise(F.lit(0.5)).cast(heat).alias("heat"),
        F.when(is_wrong, F.lit("system")).otherwise(F.lit("user")).alias("role"),
    )
    config = make_config(
        str(folder), request={"prompt": None, "max_tokens": None, "body": BODY}, **sections
    )
    return prepare(spark, open_run(config, SystemClock()), rows)


@pytest.mark.parametrize("heat", ["float", "decimal(2, 1)"])
def test_faults_of_the_first_bodies_are_errors(
    spark: SparkSession, tmp_path: Path, heat: str
) -> None:
    """Each is one line with its key and what to do, without a value of a row.

    Plain types are looked at by the driver, others by an executor.
    """
    folder = tmp_path / "run"
    with pytest.raises(ConfigError) as raised:
        prepared(spark, folder, wrong=200, heat=heat)
    temperature, roles = str(raised.value).splitlines()
    assert temperature.startswith(
        "request.body.temperature: must be a number from 0 to 1 for this model (found in 20 of the "
        "first 20 bodies)"
    )
    assert roles.startswith("request.body.messages[0].role: must be user or assistant")
    assert "secret" not in str(raised.value)
    assert not folder.exists()


def test_few_faulty_rows_are_data(spark: SparkSession, tmp_path: Path) -> None:
    """As large a share as the canary may find, 0.2 of them. With the linter off, all may be."""
    assert prepared(spark, tmp_path / "few", wrong=4).records == 200
    with pytest.raises(ConfigError, match="found in 5 of the first 20 bodies"):
        prepared(spark, tmp_path / "more", wrong=5)
    ignored = prepared(spark, tmp_path / "ignored", wrong=200, batch={"lint": "ignore"})
    assert ignored.records == 200
