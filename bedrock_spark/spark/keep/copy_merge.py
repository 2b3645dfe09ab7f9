"""The merge that adds kept answers to their copy, in the SQL of Delta Lake and Iceberg.

It adds an answer only if the table has not got it, so to repeat it changes nothing, and a process
that dies within leaves nothing: both formats commit at once.
"""

from __future__ import annotations

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


def copy_statement(target: str, view: str, run_ids: tuple[str, str] | None = None) -> str:
    """Return the MERGE statement.

    target: the table in SQL; view: has the columns of the store, and each answer once
    run_ids: the first and the last run id of the view, so that files of the table with other runs
        need not be read; None if they are not known
    """
    same = [f"t.{quote_name(name)} <=> s.{quote_name(name)}" for name in SAME_ANSWER]
    if run_ids is not None:
        first, last = (_literal(run_id) for run_id in run_ids)
        same.insert(0, f"t.{RUN_ID} BETWEEN {first} AND {last}")
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


def _literal(text: str) -> str:
    """Return a text as a literal of SQL."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
