"""Copy a store of answers into Delta Lake and Iceberg tables: once, whatever dies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from pyspark.sql import SparkSession

from bedrock_spark.answers.compact import compact
from bedrock_spark.answers.table import SCHEMA
from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.clock import SystemClock
from bedrock_spark.config import Config
from bedrock_spark.errors import ConfigError
from bedrock_spark.spark.keep import copy
from bedrock_spark.spark.keep.copy import check_copy, copy_answers
from bedrock_spark.storage import LocalStorage
from tests.spark_sessions import make_config
from tests.unit.answers.rows import answer, store_at, write
from tests.unit.fakes import FakeClock

Read = Callable[[], list[Any]]


def configured(folder: Path, store: LocalStorage, form: str, table: str) -> Config:
    answers = {"uri": store.uri, "format": form, "table": table}
    return make_config(str(folder / "run"), answers=answers)


def copied(spark: SparkSession, config: Config) -> int:
    check_copy(spark, config)
    return copy_answers(spark, config, AwsSettings(), SystemClock())


def check_copies(spark: SparkSession, folder: Path, form: str, table: str, read: Read) -> None:
    """The table has every answer of the store once, with all columns.

    So it is if a process dies before its note, if files are merged, and if two copy at once.
    """
    store = store_at(folder)
    config = configured(folder, store, form, table)
    assert copied(spark, config) == 0
    write(store, [answer("a", "one"), {**answer("b"), "cost_usd": None}])
    dies = mock.patch.object(copy, "note_copied", side_effect=KeyboardInterrupt)
    with dies, pytest.raises(KeyboardInterrupt):
        copied(spark, config)
    assert copied(spark, config) == 1
    assert copied(spark, config) == 0
    assert bodies(read()) == Counter(map(digest_of, "ab"))
    (first,) = [row for row in read() if row["request_digest"] == digest_of("a")]
    assert {**first.asDict(), "answered_at": None} == {
        **answer("a", "one"),
        "answered_at": None,
    }
    assert first["answered_at"].timestamp() == 0.0
    assert list(first.asDict()) == SCHEMA.names

    write(store, [{**answer("a", at=5.0), "run_id": "run-2"}], at=1.0, label="run-2")
    compact(store, FakeClock(2.0))
    # The same answers in another file, as of a shard that was collected again, with prices now.
    write(store, [answer("a", "one"), answer("b"), answer("c")], label="run-1-again")
    write(store, [{**answer("a"), "run_id": "it's \\ 3"}], at=3.0, label="run-3")
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(copied, spark, config) for _ in range(2)]:
            done.result()
    rows = read()
    assert bodies(rows) == Counter({digest_of("a"): 3, digest_of("b"): 1, digest_of("c"): 1})
    assert {row["cost_usd"] for row in rows} == {0.25}
    assert copied(spark, config) == 0


def digest_of(body: str) -> str:
    return str(answer(body)["request_digest"])


def bodies(rows: list[Any]) -> Counter[str]:
    return Counter(row["request_digest"] for row in rows)


def check_own_table(spark: SparkSession, folder: Path, form: str, table: str) -> None:
    """A table with more columns keeps them; one that is gone gets all; others are refused."""
    read = lambda: spark.table(table).collect()  # noqa: E731
    store = store_at(folder)
    config = configured(folder, store, form, table)
    write(store, [answer("a")])
    assert copied(spark, config) == 1
    spark.sql(f"ALTER TABLE {table} ADD COLUMNS (team string)")
    write(store, [answer("b")], label="run-2")
    assert copied(spark, config) == 1
    assert sorted(row["team"] is None for row in read()) == [True, True]
    if form == "iceberg":  # Delta Lake renames columns only with a property of the table
        spark.sql(f"ALTER TABLE {table} RENAME COLUMN served_by TO asked_by")
        with pytest.raises(ConfigError, match=r"answers\.table .* no column served_by"):
            check_copy(spark, config)
        spark.sql(f"DROP TABLE {table}")
        assert copied(spark, config) == 2
        assert len(read()) == 2
