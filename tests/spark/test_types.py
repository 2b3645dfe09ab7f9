"""Every type that Spark has, as a kept column: it is in the results as it was, or is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.ml.linalg import Vectors, VectorUDT
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import types as T  # noqa: N812

from bedrock_spark.clock import SystemClock
from bedrock_spark.errors import ConfigError
from bedrock_spark.run_folder.run import open_run
from bedrock_spark.spark.collect.stage import collect
from bedrock_spark.spark.prepare.stage import prepare
from bedrock_spark.spark.results import results
from tests.spark_sessions import make_config

pytestmark = pytest.mark.versions

# New types are off by default. A version of Spark without the type does not know the setting.
SETTINGS = ("spark.sql.timeType.enabled", "spark.sql.geospatial.enabled")

# Expressions of each type. Those that this version of Spark does not know are left out.
KEPT = (
    *("'x'", "cast('x' AS char(3))", "cast('x' AS varchar(3))", "'x' COLLATE UTF8_LCASE"),
    *("true", "1Y", "1S", "1", "1L", "cast(0.1 AS float)", "0.1D", "1.50BD", "X'80FF'"),
    *("cast(1.5 AS decimal(38, 18))", "DATE'2026-11-26'", "TIMESTAMP'2026-11-26 01:02:03.5'"),
    *("TIMESTAMP_NTZ'2026-11-26 01:02:03.5'", "INTERVAL '1 2:3:4.5' DAY TO SECOND"),
    *("TIME'01:02:03.5'", "cast(TIME'01:02:03.5' AS time(0))", "cast(NULL AS void)"),
    *("array(1, NULL)", "array(array(X'80'))", "map('a', 1)", "map(1, array(TIME'01:02:03'))"),
    *("named_struct('a', 1, 'b', named_struct('c', DATE'2026-11-26'))", "map(1, 'x')"),
    *("""parse_json('{"a": 1}')""", "array(parse_json('1'))"),
)
REFUSED = (
    *("INTERVAL '1-2' YEAR TO MONTH", "array(INTERVAL '1-2' YEAR TO MONTH)"),
    *("make_interval(1, 2, 3, 4)", "array(array())"),
    *("array()", "map()", "named_struct('a', array())", "named_struct('a', NULL)"),
    *("st_geomfromwkb(X'0101000000000000000000F03F0000000000000040')",),
    *("cast(NULL AS timestamp_ntz(9))", "cast(NULL AS timestamp_ltz(9))"),
)


@pytest.fixture(autouse=True)
def all_types(spark: SparkSession) -> Iterator[None]:
    for setting in SETTINGS:
        spark.conf.set(setting, "true")
    yield
    for setting in SETTINGS:
        spark.conf.unset(setting)


def table_of(spark: SparkSession, expressions: tuple[str, ...]) -> list[str]:
    """Return the expressions that this version of Spark knows."""
    known = []
    for expression in expressions:
        try:
            spark.sql(f"SELECT {expression} AS v").write.format("noop").mode("append").save()
        except Exception:  # noqa: BLE001 - an older Spark fails in many ways
            continue
        known.append(expression)
    return known


def prepared(spark: SparkSession, folder: Path, df: DataFrame) -> list[Any]:
    """Prepare and collect a table; return the results as a DataFrame in a list."""
    run = open_run(make_config(str(folder)), SystemClock())
    manifest = prepare(spark, run, df)
    collect(spark, run, manifest, {})
    return [results(spark, run, manifest)]


def test_a_type_is_in_the_results_as_it_was(spark: SparkSession, tmp_path: Path) -> None:
    """With its values, in a row of values and in a row of nulls. Every field may be null there."""
    known = table_of(spark, KEPT)
    assert len(known) >= 20
    columns = ", ".join(f"{e} AS v{i}" for i, e in enumerate(known))
    nulls = ", ".join(f"if(id > 0, v{i}, NULL) AS v{i}" for i in range(len(known)))
    source = (
        f"SELECT cast(id AS string) AS id, 'x' AS body, {nulls} FROM range(2), (SELECT {columns})"
    )
    df = spark.sql(source)
    (made,) = prepared(spark, tmp_path, df)
    names = [f"v{i}" for i in range(len(known))]
    kinds = [[table.schema[n].dataType.simpleString() for n in names] for table in (made, df)]
    assert kinds[0] == kinds[1]
    # As text, because two equal variants are not equal in Python.
    got, asked = (
        {row["id"]: str(row) for row in table.select("id", *names).collect()}
        for table in (made, df)
    )
    assert got == asked


@pytest.mark.parametrize("expression", REFUSED)
def test_any_other_type_is_refused_before_anything_is_written(
    spark: SparkSession, tmp_path: Path, expression: str
) -> None:
    """The error names the column and what to do. A column that is not kept does not matter."""
    if not table_of(spark, (expression,)):
        pytest.skip("this version of Spark does not know the type")
    df = spark.sql(f"SELECT 1 AS id, 'x' AS body, {expression} AS v")
    run = open_run(make_config(str(tmp_path / "run")), SystemClock())
    with pytest.raises(ConfigError, match=r"source\.(columns|sql)") as caught:
        prepare(spark, run, df)
    text = str(caught.value)
    assert "v holds the type" in text or "a type that PySpark cannot read" in text
    assert not (tmp_path / "run").exists()


def test_a_type_of_a_library_is_refused(spark: SparkSession, tmp_path: Path) -> None:
    """Spark could not read the results' columns again, after all answers are paid for."""
    vector, kind = Vectors.dense([1.0, 2.0]), VectorUDT()
    for type_, value in ((kind, vector), (T.ArrayType(kind), [vector])):
        schema = T.StructType(
            [
                T.StructField("id", T.LongType()),
                T.StructField("body", T.StringType()),
                T.StructField("features", type_),
            ]
        )
        df = spark.createDataFrame([(1, "x", value)], schema)
        run = open_run(make_config(str(tmp_path / "run")), SystemClock())
        with pytest.raises(ConfigError, match=r"features holds the type vector; .*cannot be"):
            prepare(spark, run, df)
    assert not (tmp_path / "run").exists()
