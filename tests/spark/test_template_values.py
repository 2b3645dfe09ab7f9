"""Values of every Spark type in prepared bodies: their JSON form and text form, or a reject.

The examples are the tables of docs/templates.md. The shared session's time zone is New York's.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pyspark.sql import DataFrame, SparkSession

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.clock import SystemClock
from bedrock_spark.config import Config
from bedrock_spark.config.row_choice import RowChoice
from bedrock_spark.run_folder.run import open_run
from bedrock_spark.shards.lines import read_line
from bedrock_spark.spark.prepare.first_rows import read_first_rows
from bedrock_spark.spark.prepare.map_order import table_of
from bedrock_spark.spark.prepare.stage import prepare
from tests.docs import TEMPLATES, table_rows
from tests.spark_sessions import make_config

pytestmark = pytest.mark.versions

TYPES = list(table_rows(TEMPLATES, ("Spark type", "for example", "JSON form", "text form")))
REJECTS = list(table_rows(TEMPLATES, ("what", "for example", "reason")))


# Maps at every depth, whose keys are in no order of a hash table.
MAP = "map('zeta', 1, 'alpha', null, 'mid', 3, 'beta', 4, 'omega', 5, 'k9', 6, 'k1', 7)"
MAPS = {
    "m0": MAP,
    "m1": f"array({MAP}, null, map())",
    "m2": f"named_struct('in a.dot', {MAP}, 'b', array(named_struct('c', {MAP})))",
    "m3": f"map('z', {MAP}, 'y', null, 'a', {MAP})",
    "m4": "map(9, 'nine', 1, 'one', 5, 'five', 7, 'seven')",
    "m5": "map(named_struct('k', 2), 'two', named_struct('k', 1), 'one')",
    "m6": f"if(id = 0, {MAP}, null)",
    "m7": f"if(id = 0, named_struct('n', {MAP}), null)",
}


@pytest.fixture(scope="module")
def source(spark: SparkSession) -> DataFrame:
    """Return one row with a column per example, and one per nested map."""
    examples = {f"v{i}": row[1] for i, row in enumerate(TYPES)} | MAPS
    columns = (f"{value} as {name}" for name, value in examples.items())
    return spark.sql("select 1 as id").selectExpr("id", *columns)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """Return a config that shows each example alone and inside of a text, and each map."""
    names = [f"v{i}" for i in range(len(TYPES))]
    body = {
        "alone": {name: f"{{{{ {name} }}}}" for name in names},
        "inside": {name: f"<{{{{ {name} }}}}>" for name in names},
        "maps": {name: f"{{{{ {name} | default('') }}}}" for name in MAPS},
    }
    return config_of(str(tmp_path_factory.mktemp("values")), body)


@pytest.fixture(scope="module")
def rendered(spark: SparkSession, source: DataFrame, config: Config) -> bytes:
    """Return the line of the row in the shard of a run."""
    prepare(spark, open_run(config, SystemClock()), source)
    (shard,) = Path(config.run_uri, "shards").glob("*/*")
    return shard.read_bytes()


def config_of(run_uri: str, body: dict[str, Any]) -> Config:
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


def test_a_preview_renders_every_value_as_the_run_does(
    spark: SparkSession, source: DataFrame, config: Config, rendered: bytes
) -> None:
    """Byte for byte, though the rows come to the driver: a map keeps the order of its entries."""
    assert b'"zeta":1,"alpha":null,"mid":3' in rendered
    for choice in (RowChoice(1), RowChoice(1, seed=1), RowChoice(1, keys=(("1",),))):
        first = read_first_rows(spark, config, AwsSettings("us-east-1"), source, choice)
        (row,) = first.rendered(config)
        assert row.line is not None, row.reason
        assert read_line(rendered.rstrip()).body == row.line.body


def test_a_key_that_a_map_has_twice_counts_once(spark: SparkSession) -> None:
    """As in a run: files may have such maps, and Spark refuses to make one."""
    schema = spark.createDataFrame([], "m map<string,array<map<int,int>>>").schema
    rows = [([("a", [[(1, 1), (2, 2), (1, 3)]]), ("b", None), ("a", [[(1, 1), (1, 4)], None])],)]
    (row,) = table_of(spark, rows, schema).selectExpr("to_json(m) as text").collect()
    assert row.text == '{"a":[{"1":4},null],"b":null}'


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
