"""Compare two runs row by row, or a run with true values.

What is computed is in `pairs/`; here is which tables, columns and questions, and what is shown.
PyArrow is imported only when runs are compared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from bedrock_spark.comparing.values import Comparison

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from bedrock_spark.config import Config


def compare(
    run_a: str,
    run_b: str | None = None,
    key: str | Sequence[str] = (),
    columns: str | Sequence[str] = (),
    *,
    outcomes: str | Sequence[str] = (),
    where: str | None = None,
    samples: int = 0,
    gold: Any = None,
    gold_column: str | None = None,
    gold_key: str | Sequence[str] = (),
    gold_format: str | None = None,
    spark: SparkSession | Callable[[Config], SparkSession] | None = None,
    engine: str | None = None,
    region: str | None = None,
    endpoint_url: str | None = None,
) -> Comparison:
    """Return what differs between the rows of two runs, and how a run does against true values.

    Pays, submits and writes nothing.

    run_a, run_b: run folders; run_b may be left out if there are true values
    A single name may stand for a list of one, as in key="ticket_id".
    key: the columns that pair rows, each the name in both runs or `NAME_IN_A=NAME_IN_B`; by
        default the source.key of the runs
    columns: answers to compare, beside the text; by default those of results.parse that both have
    outcomes: only rows that ended so in run A
    where: a condition in SQL, such as "lang = 'de'": only rows for which it is true are compared,
        of each run
    samples: how many rows that differ are shown, with their answers
    gold: true values: a path or folder of Parquet, CSV or JSON lines, a Delta Lake or Iceberg
        table, the name of a table, or an Arrow, pandas or Spark table
    gold_column: its column with the values, or `NAME=COLUMN_OF_THE_RUNS`; gold_key: its key, if
        that has other names than in run A; gold_format: its format, if no file name tells it
    spark: a session, or a function that returns one; it is used if the rows do not fit into memory
    engine: "memory" or "spark"; None to choose by the number of rows
    region, endpoint_url: used to read the run folders, if the environment names none
    Raises ConfigError for a column that does not exist, and if Spark is needed and not there;
    RunFolderError if there is no run, or a shard is not collected.
    """
    from bedrock_spark.comparing.compare_runs import compare_runs

    return compare_runs(
        run_a=run_a,
        run_b=run_b,
        key=_listed(key),
        columns=_listed(columns),
        outcomes=_listed(outcomes),
        where=where,
        samples=samples,
        gold=gold,
        gold_column=gold_column,
        gold_key=_listed(gold_key),
        gold_format=gold_format,
        spark=spark,
        engine=engine,
        region=region,
        endpoint_url=endpoint_url,
    )


def _listed(names: str | Sequence[str]) -> Sequence[str]:
    return (names,) if isinstance(names, str) else names


__all__ = ["Comparison", "compare"]
