"""Build the result columns of one shard: how each record ended, in the order of its rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from bedrock_spark.answer_images import AnswerImages
from bedrock_spark.families.base import Answer
from bedrock_spark.reconcile import ERROR, MISSING, OK, REJECTED, Outcome, ShardReconciliation
from bedrock_spark.spark.results_schema import RESULT_COLUMNS

_NO_ANSWER = Answer()
_BIGINT_END = 2**63
_decode = msgspec.json.Decoder().decode

Row = tuple[Any, ...]


class ResultRows:
    """The result rows of a shard; `tokens` are of the answers given out, by who answered."""

    def __init__(
        self,
        reconciliation: ShardReconciliation,
        read: Callable[[Any], Answer],
        images: AnswerImages,
    ) -> None:
        self.tokens: Counter[tuple[str, str]] = Counter()
        self._outcomes = reconciliation.outcomes
        self._read = read
        self._images = images
        self._last: tuple[str, Row] | None = None

    def columns(self, ids: Sequence[str]) -> dict[str, Sequence[Any]]:
        """Return the result columns of the next rows; rows of one record stand side by side."""
        return _columns([self._row(record_id) for record_id in ids])

    def _row(self, record_id: str) -> Row:
        if self._last is not None and self._last[0] == record_id:
            return self._last[1]
        outcome = self._outcomes.get(record_id)
        if outcome is None:
            row = _row(record_id, MISSING)
        elif outcome.record.error is not None:
            row = _error_row(record_id, outcome)
        else:
            row = self._ok_row(record_id, outcome)
        self._last = record_id, row
        return row

    def _ok_row(self, record_id: str, outcome: Outcome) -> Row:
        output, origin = outcome.record.output or b"{}", outcome.origin
        answer = _answer(output, self._read)
        counts = _bigint(answer.input_tokens), _bigint(answer.output_tokens)
        self.tokens[origin.served_by, "input"] += counts[0] or 0
        self.tokens[origin.served_by, "output"] += counts[1] or 0
        return (
            record_id,
            OK,
            answer.text,
            answer.reasoning,
            answer.tool_input,
            answer.embedding,
            self._images.put(record_id, origin.source, answer.images),
            answer.stop_reason,
            *counts,
            output,
            None,
            None,
            origin.served_by,
            origin.attempt,
            origin.job_arn,
        )


def _answer(output: bytes, read: Callable[[Any], Answer]) -> Answer:
    """Read an answer; one that cannot be (a number too large, say) stays in model_output."""
    try:
        decoded = _decode(output)
    except (msgspec.MsgspecError, RecursionError):
        return _NO_ANSWER
    return read(decoded) if isinstance(decoded, dict) else _NO_ANSWER


def _bigint(value: int | None) -> int | None:
    """Return a count that its column can hold; others stay in model_output."""
    return value if value is not None and abs(value) < _BIGINT_END else None


def _error_row(record_id: str, outcome: Outcome) -> Row:
    error, origin = outcome.record.error, outcome.origin
    assert error is not None
    told = error.code, error.message, origin.served_by, origin.attempt, origin.job_arn
    return _row(record_id, ERROR, *told)


def _row(record_id: str | None, outcome: str, *told: Any) -> Row:
    """Return a row without an answer; told: its last columns, error_code and what follows."""
    last = told or (None,) * 5
    return (record_id, outcome, *(None,) * (len(RESULT_COLUMNS) - 2 - len(last)), *last)


def rejected_columns(reasons: Sequence[str]) -> dict[str, Sequence[Any]]:
    """Return the result columns of rows that never became records."""
    return _columns([_row(None, REJECTED, None, why, None, None, None) for why in reasons])


def _columns(rows: Sequence[Row]) -> dict[str, Sequence[Any]]:
    return dict(zip(RESULT_COLUMNS, zip(*rows, strict=True), strict=True))
