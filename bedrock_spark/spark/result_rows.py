"""Build the result columns of one shard: how each record ended, in the order of its rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from bedrock_spark.families.base import Answer
from bedrock_spark.reconcile import ERROR, MISSING, OK, Origin, Outcome, ShardReconciliation
from bedrock_spark.spark.results_schema import RESULT_COLUMNS


def result_columns(
    ids: list[str], reconciliation: ShardReconciliation, read: Callable[[Any], Answer]
) -> dict[str, list[Any]]:
    """Return the result columns, in the order of the ids."""
    rows = [_result(i, reconciliation.outcomes.get(i), read) for i in ids]
    return {name: [row[k] for row in rows] for k, name in enumerate(RESULT_COLUMNS)}


def for_every_row(columns: dict[str, list[Any]], ids: list[str]) -> dict[str, list[Any]]:
    """Return the result columns of records, given once each, for rows that may share them."""
    if len(columns["record_id"]) == len(ids):
        return columns
    at = {record_id: i for i, record_id in enumerate(columns["record_id"])}
    places = [at[record_id] for record_id in ids]
    return {name: [values[i] for i in places] for name, values in columns.items()}


_NO_ANSWER = Answer()
_BIGINT_END = 2**63


def _answer(output: bytes, read: Callable[[Any], Answer]) -> Answer:
    """Read an answer; one that cannot be (a number too large, say) stays in model_output."""
    try:
        decoded = msgspec.json.decode(output)
    except (msgspec.MsgspecError, RecursionError):
        return _NO_ANSWER
    return read(decoded) if isinstance(decoded, dict) else _NO_ANSWER


def _result(
    record_id: str, outcome: Outcome | None, read: Callable[[Any], Answer]
) -> tuple[Any, ...]:
    """Return one result row, as RESULT_COLUMNS has it."""
    if outcome is None:
        return _row(record_id, MISSING, _NO_ANSWER, None, None, None, Origin(""))
    error = outcome.record.error
    if error is not None:
        return _row(record_id, ERROR, _NO_ANSWER, None, error.code, error.message, outcome.origin)
    output = outcome.record.output or b"{}"
    return _row(record_id, OK, _answer(output, read), output.decode(), None, None, outcome.origin)


def _bigint(value: int | None) -> int | None:
    """Return a count that its column can hold; others stay in model_output."""
    return value if value is not None and abs(value) < _BIGINT_END else None


def _row(
    record_id: str,
    outcome: str,
    answer: Answer,
    output: str | None,
    code: int | None,
    message: str | None,
    origin: Origin,
) -> tuple[Any, ...]:
    return (
        record_id,
        outcome,
        answer.text,
        answer.reasoning,
        answer.tool_input,
        answer.embedding,
        answer.stop_reason,
        _bigint(answer.input_tokens),
        _bigint(answer.output_tokens),
        output,
        code,
        message,
        origin.served_by or None,
        origin.attempt,
        origin.job_arn,
    )
