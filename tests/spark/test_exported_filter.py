"""The filter of a page of rows, exported as a source, takes the same rows in Spark."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pyarrow as pa
import yaml
from pyarrow import parquet as pq
from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812 - its usual name

from bedrock_spark.browse.export import source_of
from bedrock_spark.browse.row_filter import ErrorGroup, RowFilter
from bedrock_spark.config import SourceConfig, parse_config
from bedrock_spark.outputs.reasons import pattern_of
from bedrock_spark.spark.prepare.source import wanted_rows
from tests.unit.browse.run_of_rows import SCHEMA, row
from tests.unit.fakes import config_values

QUOTED = 'call 17 of "x" took 100% of my_time\nand\\more'
OTHER = "call 17 of x took 100 of mystime and more"
NOON = dt.datetime(2026, 11, 2, 12, 30, 0, 5)
ROWS = [
    row(0, label="it's", text="O'Neil \\ 50%", urgency=3, cost_usd=7.74e-06, at=NOON, ratio=0.1),
    row(1, label="", text="o'neil \\ 50%, twice", cost_usd=7.64e-06, day=NOON.date()),
    row(2, label="3", body="\u00dcBER alles", urgency=-3, cost_usd=0.01234, plain=NOON),
    row(3, "error", error_code=429, error_message=QUOTED, flag=True),
    row(4, "error", error_code=429, error_message=OTHER, flag=False),
    row(5, "error", error_message="it's [1, 2] `a`"),
    row(6, "error", error_code=-1),
    row(7, "missing", amount="12.50"),
    row(8, "rejected", error_message="body: is null"),
    row(9, "invalid", text="caf\u00e9 'x'", error_message="the answer holds no JSON object"),
]
ADDED = {
    "at": pa.timestamp("us", "UTC"),
    "plain": pa.timestamp("us"),
    "day": pa.date32(),
    "ratio": pa.float32(),
    "flag": pa.bool_(),
    "amount": pa.decimal128(6, 2),
}
FILTERS = [
    RowFilter(outcomes=("ok", "invalid")),
    *(RowFilter(column="label", value=value) for value in ("it's", "3", "", "none")),
    *(RowFilter(column="urgency", value=value) for value in ("3", "-3", "03", "x", "")),
    *(RowFilter(column="cost_usd", value=v) for v in ("$0.0000077", "0.00000764", "0.0123", "")),
    *(RowFilter(column="ratio", value=value) for value in ("0.1", "0.2")),
    *(RowFilter(column="at", value=v) for v in ("2026-11-02T12:30:00.000005+00:00", "2026-11-02")),
    RowFilter(column="plain", value="2026-11-02T12:30:00.000005"),
    RowFilter(column="day", value="2026-11-02"),
    *(RowFilter(column="flag", value=value) for value in ("true", "false", "yes")),
    *(RowFilter(column="amount", value=value) for value in ("12.50", "12.5")),
    *(RowFilter(text=text) for text in ("o'neil \\ 50%", "\u00fcber", "CAF\u00c9 '", "%", "_")),
    RowFilter(("ok",), None, "label", "it's", "O'Neil"),
    *(RowFilter(error=ErrorGroup("error", 429, pattern_of(text))) for text in (QUOTED, OTHER)),
    RowFilter(error=ErrorGroup("error", None, pattern_of("it's [1, 2] `a`"))),
    RowFilter(error=ErrorGroup("error", -1, "")),
    RowFilter(error=ErrorGroup("missing", None, "")),
    RowFilter(error=ErrorGroup("rejected", None, pattern_of("body: is null"))),
    RowFilter(("ok",), ErrorGroup("error", 429, "x")),
]


def test_an_exported_filter_takes_the_rows_of_the_page(spark: SparkSession, tmp_path: Path) -> None:
    """In one job of Spark, whose session is in another time zone."""
    config = parse_config(config_values())
    schema = pa.schema([*SCHEMA, *ADDED.items()])
    decimals = [{**each, "amount": None} for each in ROWS]
    table = pa.Table.from_pylist(decimals, schema)
    amounts = pa.array([each.get("amount") for each in ROWS], pa.string()).cast(ADDED["amount"])
    place = schema.get_field_index("amount")
    table = table.set_column(place, "amount", amounts)
    pq.write_table(table, tmp_path / "rows.parquet")
    frame = spark.read.parquet(str(tmp_path))
    assert frame.count() == len(ROWS)
    whole = None
    for number, wanted in enumerate(FILTERS):
        text = source_of("s3://bucket/runs/x", config, wanted, schema)
        source = SourceConfig(**yaml.safe_load(text)["source"])
        taken = wanted_rows(frame, source).select(F.lit(number), "ticket_id", "outcome")
        if source.outcomes is not None:
            taken = taken.where(F.col("outcome").isin([*source.outcomes]))
        whole = taken if whole is None else whole.unionAll(taken)
    assert whole is not None
    found = {(number, ticket) for number, ticket, _ in whole.collect()}
    tickets = table.column("ticket_id").to_pylist()
    for number, wanted in enumerate(FILTERS):
        mask = wanted.mask(table, config.results).tolist()
        own = {ticket for ticket, is_wanted in zip(tickets, mask, strict=True) if is_wanted}
        assert {ticket for n, ticket in found if n == number} == own, wanted
    assert len({number for number, _ in found}) > len(FILTERS) // 2
