"""The merge that adds kept answers to their copy, in the SQL of Delta Lake and Iceberg.

It adds an answer only if the table has not got it, so to repeat it changes nothing, and a process
that dies within leaves nothing: both formats commit at once.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from bedrock_spark.answers.table import (
    ANSWERED_AT,
    BODY_HASH,
    OUTCOME,
    REQUEST_DIGEST,
    RUN_ID,
    SCHEMA,
)
from bedrock_spark.schema import quote_name

# What makes two rows the same answer. A run may answer one request again, at another time.
SAME_ANSWER = (BODY_HASH, REQUEST_DIGEST, RUN_ID, "record_id", ANSWERED_AT, OUTCOME, "served_by")
COST = "cost_usd"


# Columns of which new answers have a narrow range: those of one run, given in a few hours.
NARROW = (ANSWERED_AT, RUN_ID)
Range = tuple[str, str] | tuple[dt.datetime, dt.datetime]


def copy_statement(target: str, view: str, ranges: Mapping[str, Range] | None = None) -> str:
    """Return the MERGE statement.

    target: the table in SQL; view: has the columns of the store, and each answer once
    ranges: the lowest and the highest value of columns of the view that have no null, so that files
        of the table without these values need not be read
    """
    same = [f"t.{quote_name(name)} <=> s.{quote_name(name)}" for name in SAME_ANSWER]
    within = [
        f"t.{quote_name(name)} BETWEEN {_literal(first)} AND {_literal(last)}"
        for name, (first, last) in (ranges or {}).items()
    ]
    same = [*within, *same]
    names = [quote_name(name) for name in SCHEMA.names]
    # With the update, a merge fails if another one has committed the same answers meanwhile, and is
    # repeated. Iceberg commits a merge that only inserts without that check.
    return (
        f"MERGE INTO {target} AS t USING {view} AS s ON {' AND '.join(same)} "
        f"WHEN MATCHED AND t.{COST} IS NULL AND s.{COST} IS NOT NULL "
        f"THEN UPDATE SET t.{COST} = s.{COST} "
        f"WHEN NOT MATCHED THEN INSERT ({', '.join(names)}) "
        f"VALUES ({', '.join(f's.{name}' for name in names)})"
    )


def _literal(value: str | dt.datetime) -> str:
    """Return a text, or a time with its zone, as a literal of SQL."""
    if isinstance(value, dt.datetime):
        return f"TIMESTAMP '{value.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S.%f} UTC'"
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
