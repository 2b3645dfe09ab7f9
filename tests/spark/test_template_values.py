"""Values of every Spark type in prepared bodies: their JSON form and text form, or a reject.

The examples are the tables of docs/templates.md. The shared session's time zone is New York's.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from bedrock_spark.clock import SystemClock
from bedrock_spark.run_folder.run import open_run
from bedrock_spark.spark.prepare.stage import prepare
from tests.docs import TEMPLATES, table_rows
from tests.spark_sessions import make_config

pytestmark = pytest.mark.versions

TYPES = list(table_rows(TEMPLATES, ("Spark type", "for example", "JSON form", "text form")))
REJECTS = list(table_rows(TEMPLATES, ("what", "for example", "reason")))


@pytest.fixture(scope="module")
def rendered(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return the body of one row with a column per example, each alone and inside of a text."""
    folder = tmp_path_factory.mktemp("values")
    names = [f"v{i}" for i in range(len(TYPES))]
    columns = ", ".join(f"{row[1]} as {name}" for row, name in zip(TYPES, names, strict=True))
    body = {
        "alone": {name: f"{{{{ {name} }}}}" for name in names},
        "inside": {name: f"<{{{{ {name} }}}}>" for name in names},
    }
    config = config_of(str(folder), body)
    prepare(spark, open_run(config, SystemClock()), spark.sql(f"select 1 as id, {columns}"))
    (shard,) = (folder / "shards").glob("*/*")
    return shard.read_bytes()


def config_of(run_uri: str, body: dict[str, Any]) -> Any:
    return make_config(
        run_uri,
        request={"prompt": None, "max_tokens": None, "body": body},
        batch={"lint": "ignore"},
    )


@pytest.mark.parametrize("number", range(len(TYPES)), ids=[f"{r[0]}: {r[1]}" for r in TYPES])
def test_a_value_has_the_forms_that_the_docs_show(rendered: bytes, number: int) -> None:
    """To the last digit: the JSON form is compared as text."""
    _, _, json_form, text_form = TYPES[number]
    alone, inside = rendered.decode().split('"inside":')
    text = json.dumps(f"<{text_form}>", ensure_ascii=False)
    for body, form in ((alone, json_form), (inside, text)):
        written = body.split(f'"v{number}":')[1]
        assert written[: len(form)] == form
        assert written[len(form)] in ",}"


def test_a_value_without_a_form_rejects_its_row_alone(spark: SparkSession, tmp_path: Path) -> None:
    """With column and reason, at any depth of nesting; the other rows become records."""
    names = [f"v{i}" for i in range(len(REJECTS))]
    columns = [
        f"if(id % 2 = 0 and id / 2 = {i}, {row[1]}, null) as {name}"
        for i, (row, name) in enumerate(zip(REJECTS, names, strict=True))
    ]
    source = spark.range(2 * len(REJECTS)).selectExpr("id", *columns)
    body = {name: f"{{{{ {name} | default('') }}}}" for name in names}
    run = open_run(config_of(str(tmp_path), {"id": "{{ id }}", **body}), SystemClock())
    manifest = prepare(spark, run, source.coalesce(1))
    assert (manifest.records, manifest.rejected) == (len(REJECTS), len(REJECTS))
    rows = pq.read_table(tmp_path / "rejects", columns=["id", "reject_column", "reject_reason"])
    reasons = {row["id"]: (row["reject_column"], row["reject_reason"]) for row in rows.to_pylist()}
    assert reasons == {2 * i: (f"v{i}", row[2]) for i, row in enumerate(REJECTS)}
