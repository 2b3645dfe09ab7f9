"""A comparison on Spark has the same numbers as one in memory."""

from __future__ import annotations

import random
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from bedrock_spark import Comparison, compare
from bedrock_spark.errors import ConfigError, RunFolderError
from bedrock_spark.pairs.where import parse_where
from bedrock_spark.run_folder import layout
from tests.compared_runs import write_run

# A name that must be quoted, and a value of each kind.
TYPES = {
    "a key": pa.int64(),
    "label": pa.string(),
    "score": pa.float64(),
    "tags": pa.list_(pa.string()),
}
_PARSE = "label string, score double, tags array<string>"
_TEXTS = ("Yes.", "yes", "No", "\u00e9", "x" * 80, None)


def rows_of(seed: int, number: int) -> list[dict[str, Any]]:
    """Return rows with null, repeated and shared keys, of every outcome, in a random order."""
    choose = random.Random(seed)
    outcomes = ["ok"] * 8 + ["truncated", "error", "invalid", "rejected"]
    made = [
        {
            "a key": choose.choice([*[i] * 20, choose.randrange(number), None]),
            "record_id": f"r{choose.randrange(number)}",
            "outcome": choose.choice(outcomes),
            "text": choose.choice(_TEXTS),
            "label": choose.choice(["spam", "ham", None]),
            "score": choose.choice([round(choose.random(), 3), 0.5, None]),
            "tags": choose.choice([["a"], ["a", "b"], None]),
            "input_tokens": choose.choice([choose.randrange(100), None]),
        }
        for i in range(number)
    ]
    return choose.sample(made, number)


@pytest.fixture(scope="module")
def uris(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("compared")
    for seed, name in enumerate("ab"):
        options: dict[str, Any] = {"parse": _PARSE, "key": ["a key"], "shard_rows": 90}
        write_run(folder / name, rows_of(seed, 300), TYPES, cost=0.5, **options)
    return str(folder / "a"), str(folder / "b")


GOLD = pa.Table.from_pydict(
    {
        "nr": [None, *range(0, 300, 2), 4],
        "truth": ["spam", *(["ham", "spam", None][i % 3] for i in range(0, 300, 2)), "spam"],
        "score": [0.5] * 152,
    },
    schema=pa.schema([("nr", pa.int32()), ("truth", pa.string()), ("score", pa.float32())]),
)


def assert_same(spark_found: Comparison, found: Comparison) -> None:
    """Fail if numbers differ; sums of floats may, in their last digit."""
    assert spark_found.engine == "spark"
    one, other = asdict(replace(spark_found, engine="")), asdict(replace(found, engine=""))
    assert_equal(one, other, "")


def assert_equal(one: Any, other: Any, place: str) -> None:
    if isinstance(one, dict):
        assert one.keys() == other.keys(), place
        for key, value in one.items():
            assert_equal(value, other[key], f"{place}.{key}")
    elif isinstance(one, list):
        assert len(one) == len(other), place
        for i, value in enumerate(one):
            assert_equal(value, other[i], f"{place}[{i}]")
    else:
        is_float = isinstance(one, float)
        assert one == (pytest.approx(other, rel=1e-12, abs=1e-12) if is_float else other), place


def test_two_runs_have_the_same_numbers(spark: SparkSession, uris: tuple[str, str]) -> None:
    found = compare(*uris, samples=40)
    assert len(found.examples) == 40
    assert found.matching is not None
    assert min(found.matching.repeated + found.matching.without_key + found.matching.only) > 0
    assert {column.name for column in found.columns} == {"text", "label", "score", "tags"}
    assert_same(compare(*uris, samples=40, spark=spark, engine="spark"), found)


def test_chosen_rows_have_the_same_numbers(spark: SparkSession, uris: tuple[str, str]) -> None:
    where = "(score < 0.5 OR label IS NULL) AND lower(text) NOT LIKE 'x%' AND `a key` > 20"
    found = compare(*uris, where=where, samples=40)
    assert found.matching is not None
    assert 0 < found.matching.both < 200
    assert_same(compare(*uris, where=where, samples=40, spark=spark, engine="spark"), found)


# On numbers of more than 64 bits, integers that a float would round, times with and without a zone.
CONDITIONS = [
    *(f"big {sign} 9007199254740993" for sign in ("=", "<>", "<", "<=", ">", ">=")),
    "big = '9007199254740993'",
    "big > 9007199254740992.5",
    f"big NOT IN ({', '.join(map(str, range(99)))})",
    "big IN (9007199254740993, 99999999999999999999, NULL)",
    "wide > 99999999999999999999",
    "wide = 123456789012345678901234567890.12",
    "wide > big",
    "wide BETWEEN -0.5 AND 123456789012345678901234567890.11",
    "ratio = 0.1 OR ratio > 1e300",
    "narrow > 0.1",
    "narrow < ratio",
    "ratio = 'NaN' OR ratio < 0",
    "ratio <> 'NaN' AND NOT ratio >= 1",
    "at >= '2026-11-02 12:00:00'",
    "at < '2026-11-02T14:00:00.000001+02:00'",
    "plain > '2026-11-02'",
    "plain = at",
    "day <= at",
    "day IN ('2026-11-02', '2026-11-05')",
    "word LIKE 'a\\_%' OR word > 'b'",
    "word IN ('a_b', NULL)",
]


KINDS = {
    "big": pa.int64(),
    "wide": pa.decimal128(38, 2),
    "ratio": pa.float64(),
    "narrow": pa.float32(),
    "at": pa.timestamp("us", "UTC"),
    "plain": pa.timestamp("us"),
    "day": pa.date32(),
    "word": pa.string(),
}
VALUES = """
    SELECT CAST(big AS BIGINT) big, CAST(wide AS DECIMAL(38, 2)) wide,
        CAST(ratio AS DOUBLE) ratio, CAST(ratio AS FLOAT) narrow, CAST(at AS TIMESTAMP) at,
        CAST(replace(at, 'Z') AS TIMESTAMP_NTZ) plain, CAST(left(at, 10) AS DATE) day, word
    FROM VALUES
        (9007199254740992, '-0.5', '0.1', '2026-11-02T12:00:00Z', 'a_b'),
        (9007199254740993, '123456789012345678901234567890.12', 'NaN',
            '2026-11-02T12:00:00.000001Z', 'axb'),
        (-9223372036854775808, '9007199254740993', '-1e301', '2026-11-01T23:59:59Z', 'c'),
        (9007199254740994, '7.00', '1e301', '2026-11-05T00:00:00Z', ''),
        (NULL, NULL, NULL, NULL, NULL)
    AS t (big, wide, ratio, at, word)
"""


def test_a_condition_has_the_rows_of_spark(spark: SparkSession) -> None:
    """In a session in UTC: a time that is written without a zone is one in UTC."""
    zone = spark.conf.get("spark.sql.session.timeZone")
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    try:
        rows = spark.sql(VALUES)
        told = (f"({each}) c{i}" for i, each in enumerate(CONDITIONS))
        found = rows.selectExpr("*", "unix_micros(at) micros", *told).collect()
    finally:
        spark.conf.set("spark.sql.session.timeZone", zone)
    columns = {name: [row[name] for row in found] for name in KINDS}
    columns["at"] = [row["micros"] for row in found]  # Python's are in the zone of this machine
    arrays = [pa.array(columns[name], kind) for name, kind in KINDS.items()]
    batch = pa.RecordBatch.from_arrays(arrays, [*KINDS])
    for i, condition in enumerate(CONDITIONS):
        own = parse_where(condition, str).holds(batch).to_pylist()
        assert own == [row[f"c{i}"] is True for row in found], condition
        assert len(set(own)) == 2, condition


@pytest.mark.parametrize("column", ["truth=label", pytest.param("score", marks=pytest.mark.long)])
def test_true_values_have_the_same_numbers(
    spark: SparkSession, uris: tuple[str, str], column: str
) -> None:
    """From memory, as a Spark table, and as a table that the catalog knows by its name."""
    options: dict[str, Any] = {"gold_column": column, "gold_key": ["nr"], "outcomes": ["ok"]}
    found = compare(*uris, gold=GOLD, **options)
    assert found.gold[0].accuracy.count > 0
    frame = spark.createDataFrame(GOLD.to_pylist(), "nr int, truth string, score float")
    frame.createOrReplaceTempView("true_values")
    assert_same(compare(*uris, gold=frame, **options), found)  # a DataFrame has its session
    for gold in (GOLD, "true_values"):
        assert_same(compare(*uris, gold=gold, spark=spark, engine="spark", **options), found)


def test_spark_is_used_if_there_are_many_rows(
    spark: SparkSession, uris: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The results need not be in memory. Several tasks count, and others add up their counts."""
    found = compare(*uris, samples=3)
    monkeypatch.setattr("bedrock_spark.comparing.compare_runs.MOST_ROWS", 10)
    monkeypatch.setattr("bedrock_spark.spark.compare._ROWS_OF_A_TASK", 90)
    monkeypatch.setattr("bedrock_spark.spark.compare._MOST_OF_THE_DRIVER", 1)
    assert_same(compare(*uris, samples=3, spark=spark), found)


def test_a_shard_that_is_not_collected_is_named(
    spark: SparkSession, uris: tuple[str, str], tmp_path: Path
) -> None:
    """The error of the task is the error of the call."""
    write_run(tmp_path / "c", rows_of(3, 100), TYPES, key=["a key"], shard_rows=40)
    (tmp_path / "c" / layout.results_key("shard-00001-00")).unlink()
    with pytest.raises(RunFolderError, match="shard-00001-00 has no results yet"):
        compare(uris[0], str(tmp_path / "c"), spark=spark, engine="spark")


def test_a_table_of_true_values_that_is_not_there_is_named(
    spark: SparkSession, uris: tuple[str, str]
) -> None:
    with pytest.raises(ConfigError, match=r"source.table = 'no_such_table'"):
        compare(uris[0], gold="no_such_table", gold_column="label", spark=spark)
