"""The example of docs/chains.md against the local Bedrock: a small model, then a larger one."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from pyspark.sql import SparkSession

import bedrock_spark
from bedrock_emulator import LocalBedrock
from bedrock_spark.chain import last_report
from bedrock_spark.check_stages import check_stages
from bedrock_spark.errors import BudgetError
from tests.docs import ROOT
from tests.e2e.conftest import BUCKET

ANSWERS: tuple[dict[str, Any], ...] = (
    {"model": "*micro*", "match": "agree", "text": {"label": "contract"}},
    {"model": "*micro*", "text": {"label": "letter"}},
    {"model": "*pro*", "match": "of this contract", "text": {"party": "A", "amount": 1.5}},
)


def example(local: LocalBedrock, folder: Path) -> dict[str, Any]:
    """Return the config of the page, with the places of a test. The fallback asks all records."""
    page = (ROOT / "docs" / "chains.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```yaml stages\n(.*?)```", page, re.DOTALL)
    values: dict[str, Any] = yaml.safe_load(block)
    values["run_uri"] = f"s3://{BUCKET}/runs/documents"
    values["source"] = {"key": "document_id"}
    values["batch"] |= {"region": "us-east-1"}
    values["stages"][1]["results"]["path"] = str(folder / "contracts")
    return {**values, "endpoint_url": local.endpoint_url}


@pytest.mark.long
def test_the_example_of_the_page(
    spark: SparkSession, bedrock: Callable[..., LocalBedrock], tmp_path: Path
) -> None:
    """The larger model is asked about the contracts only. The same again asks nothing."""
    local = bedrock()
    local.set_answers(*ANSWERS)
    values = example(local, tmp_path)
    rows = [(i, "We agree" if i % 4 == 0 else "Dear Sir") for i in range(20)]
    df = spark.createDataFrame(rows, "document_id int, body string")
    # A budget that the first stage leaves nothing useful of: what it has paid for stays.
    with pytest.raises(BudgetError, match=r"^stage extract: "):
        bedrock_spark.run(spark, df, {**values, "budget": 0.0005}, observe=None)
    asked = local.requests()["InvokeModel"]
    results = bedrock_spark.run(spark, df, values, observe=None)
    assert local.requests()["InvokeModel"] == asked + 5
    assert results.columns[:3] == ["document_id", "body", "record_id"]
    found = {row["document_id"]: (row["party"], row["amount"]) for row in results.collect()}
    assert found == dict.fromkeys(range(0, 20, 4), ("A", 1.5))
    assert spark.read.parquet(str(tmp_path / "contracts")).count() == 5
    bedrock_spark.run(spark, df, values, observe=None)
    assert local.requests()["InvokeModel"] == asked + 5
    stages = check_stages(values)
    assert stages is not None
    report = last_report(stages.stages[1].config)
    assert report is not None
    assert report["derived_from"]["where"] == "label = 'contract'"
