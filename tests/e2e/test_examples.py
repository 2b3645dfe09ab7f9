"""The examples of `bedrock-spark init` run as they are written, against the local Bedrock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from pyspark.sql import SparkSession

import bedrock_spark
from bedrock_emulator import LocalBedrock
from bedrock_spark.cli import main
from bedrock_spark.preview import preview
from bedrock_spark.preview.options import PreviewOptions
from bedrock_spark.starter.examples import EXAMPLES
from tests.e2e.conftest import BUCKET
from tests.spark_sessions import ROLE

# The columns of the answers, and of them those that always have a value.
ANSWERED = {
    "classify": ["label", "reason"],
    "extract": ["customer", "product", "quantity", "delivery_date"],
    "embed": ["embedding"],
    "translate": ["text"],
    "describe-images": ["description", "color"],
}


def example(name: str, local: LocalBedrock) -> dict[str, Any]:
    """Write an example into the working directory; return its config with the local endpoint.

    Its places are absolute: the session of the tests was begun in another folder.
    """
    arguments = ["init", "--example", name, "--role", ROLE, "--region", "us-east-1"]
    arguments += ["--run-folder", f"s3://{BUCKET}/runs/{name}", "--quiet"]
    with pytest.raises(SystemExit) as ended:
        main(arguments, prog_name="bedrock-spark")
    assert ended.value.code == 0
    values: dict[str, Any] = yaml.safe_load(Path(f"{name}.yaml").read_text("utf-8"))
    values["batch"]["poll_seconds"] = 0.05
    for section in ("source", "results"):
        values[section]["path"] = str(Path(values[section]["path"]).absolute())
    return {**values, "endpoint_url": local.endpoint_url}


@pytest.mark.long
@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_runs_as_it_is(
    name: str,
    spark: SparkSession,
    bedrock: Callable[..., LocalBedrock],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """120 rows, one batch job, an answer in its columns for each."""
    monkeypatch.chdir(tmp_path)
    local = bedrock()
    bedrock_spark.run(spark, None, example(name, local), observe=False)
    results = pq.read_table(f"{name}-answers")
    assert Counter(results["outcome"].to_pylist()) == {"ok": 120}
    assert set(results["served_by"].to_pylist()) == {"batch"}
    for column in ANSWERED[name]:
        assert results[column].null_count < 120
    jobs = local.client("bedrock").list_model_invocation_jobs()["invocationJobSummaries"]
    assert [job["status"] for job in jobs] == ["Completed"]


def test_images_are_previewed(
    spark: SparkSession,
    bedrock: Callable[..., LocalBedrock],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The example whose rows are no text."""
    monkeypatch.chdir(tmp_path)
    config = example("describe-images", bedrock())
    options = PreviewOptions(rows=2, has_whole=False, has_prompts=True)
    rows = preview(spark, None, config, options).previews[0].rows
    assert [row.outcome for row in rows] == ["ok", "ok"]
    assert [row.row["name"] for row in rows] == ["red-circle-0", "green-circle-1"]
    assert str(rows[0].row["photo"]).endswith(" bytes")
    assert rows[0].columns is not None
    assert list(rows[0].columns) == ANSWERED["describe-images"]
