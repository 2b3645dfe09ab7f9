"""Build the result row of each record of a shard: its outcome, and what its answer holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from bedrock_spark.families.base import Answer, Family, read_answer
from bedrock_spark.outputs.images import AnswerImages
from bedrock_spark.outputs.lines import OutputRecord
from bedrock_spark.outputs.outcomes import ERROR, INVALID, REFUSED, REJECTED, TRUNCATED
from bedrock_spark.outputs.reasons import ReasonCounts
from bedrock_spark.outputs.reconcile import ShardReconciliation
from bedrock_spark.outputs.record_outcome import BATCH, FALLBACK, OkAnswer, Outcome
from bedrock_spark.schema import RESULT_COLUMNS

_BIGINT_END = 2**63
# The tokens of an answer by the names in reports, in the order of `_counts`. The first two are
# totals, the others a part of them.
TOKENS = ("input", "output", "reasoning", "cache_read", "cache_write")
_USED = (*TOKENS, "images", "uncounted")
_ALWAYS = TOKENS[:2]
# The counts after the first two, of an answer that has none of them.
_NO_RARE = (None,) * (len(TOKENS) - 2)
# What has another price if the flex tier has answered.
_FLEX_PRICED = ("input", "output", "cache_read", "cache_write")

# Nulls for the columns of an answer, which are those between outcome and error_code.
_NO_ANSWER = (None,) * (RESULT_COLUMNS.index("error_code") - 2)
_OUTCOME, _CODE, _MESSAGE = map(RESULT_COLUMNS.index, ("outcome", "error_code", "error_message"))
_WITH_REASON = frozenset({ERROR, INVALID, TRUNCATED, REFUSED})

Row = tuple[Any, ...]


class ResultRows:
    """Builds the result row of each record of a shard.

    family: reads the answers
    parsed: the number of columns of `results.parse`
    used: what the answers in the results so far used, by `served_by` and kind: one of TOKENS,
        "images", or "uncounted" answers that tell neither tokens nor images
    flex: the part of it that the fallback's flex tier answered
    reasons: why the rows so far have no answer
    """

    def __init__(
        self,
        reconciliation: ShardReconciliation,
        family: Family,
        images: AnswerImages,
        parsed: int = 0,
    ) -> None:
        self.used: dict[str, Counter[str]] = {BATCH: Counter(), FALLBACK: Counter()}
        self.flex: Counter[str] = Counter()
        self.reasons = ReasonCounts()
        self._reconciliation = reconciliation
        self._family = family
        self._images = images
        self._nulls = (None,) * parsed

    def ok_row(self, settled: OkAnswer) -> Row:
        """Return the row of a record that is ok."""
        outcome = settled.outcome
        return self._answered_row(outcome.record, outcome, settled.answer)

    def other_row(self, record_id: str) -> Row:
        """Return the row of any other record, after the last line of the shard."""
        outcome = self._reconciliation.outcomes.get(record_id)
        if outcome is None:
            ended = self._reconciliation.ended(record_id)
            row: Row = (record_id, ended, *_NO_ANSWER, None, None, None, None, None, *self._nulls)
        elif outcome.record.error is not None:
            row = self._error_row(record_id, outcome)
        else:
            line = outcome.line(self._reconciliation.spill)
            row = self._answered_row(line, outcome, read_answer(line.output or b"{}", self._family))
        if row[_OUTCOME] in _WITH_REASON:
            rows = self._reconciliation.expected[record_id]
            self.reasons.add(row[_OUTCOME], row[_CODE], row[_MESSAGE], record_id, rows)
        return row

    def tokens(self) -> dict[str, int]:
        """Return the tokens of the answers in the results by kind; those of the cache if any."""
        total = self.used[BATCH] + self.used[FALLBACK]
        return {name: total[name] for name in TOKENS if total[name] or name in _ALWAYS}

    def fallback_used(self, superseded: Iterable[OutputRecord]) -> dict[str, int]:
        """Return what all answers of the fallback used, by kind; input and output also if 0.

        superseded: its answers that were paid for and are not in the results
        The part that the flex tier answered is counted by `flex_` and the kind, too.
        """
        total, flex = Counter(self.used[FALLBACK]), Counter(self.flex)
        for record in superseded:
            answer = read_answer(record.output or b"{}", self._family)
            _add_used(total, answer, _counts(answer))
            if record.is_flex:
                _add_used(flex, answer, _counts(answer))
        used = {name: total[name] for name in _USED if total[name] or name in _ALWAYS}
        return used | {f"flex_{name}": flex[name] for name in _FLEX_PRICED if flex[name]}

    def _error_row(self, record_id: str, outcome: Outcome) -> Row:
        error, origin = outcome.record.error, outcome.origin
        assert error is not None
        cause = error.code, error.message, origin.served_by, origin.attempt, origin.job_arn
        return (record_id, outcome.ended, *_NO_ANSWER, *cause, *self._nulls)

    def _answered_row(self, line: OutputRecord, outcome: Outcome, answer: Answer) -> Row:
        origin, parsed, error = outcome.origin, outcome.parsed, outcome.error
        code, message = None, outcome.reason
        if error is not None:
            code, message = error.code, error.message
        counts = _counts(answer)
        _add_used(self.used[origin.served_by], answer, counts)
        if line.is_flex:
            _add_used(self.flex, answer, counts)
        return (
            line.record_id,
            outcome.ended,
            answer.text,
            answer.reasoning,
            answer.tool_input,
            answer.embedding,
            self._images.put(line.record_id, origin.source, answer.images),
            answer.stop_reason,
            *counts,
            line.output,
            code,
            message,
            origin.served_by,
            origin.attempt,
            origin.job_arn,
            *(parsed.values if parsed and parsed.values else self._nulls),
        )


def _counts(answer: Answer) -> tuple[int | None, ...]:
    """Return the token counts of an answer, in the order of TOKENS."""
    given, made = answer.input_tokens, answer.output_tokens
    rare = answer.reasoning_tokens, answer.cache_read_tokens, answer.cache_write_tokens
    if rare == _NO_RARE and given is not None and made is not None:
        return (_bigint(given), _bigint(made), *_NO_RARE)
    return (
        _bigint(answer.input_tokens),
        _bigint(answer.output_tokens),
        _bigint(answer.reasoning_tokens),
        _bigint(answer.cache_read_tokens),
        _bigint(answer.cache_write_tokens),
    )


def _add_used(used: Counter[str], answer: Answer, counts: Sequence[int | None]) -> None:
    """Add what an answer used: tokens, images, or itself as one that tells neither."""
    given, made, rare = counts[0], counts[1], counts[2:]
    if given:
        used["input"] += given
    if made:
        used["output"] += made
    if rare != _NO_RARE:
        for name, count in zip(TOKENS[2:], rare, strict=True):
            if count:
                used[name] += count
    if answer.images:
        used["images"] += len(answer.images)
    elif not (given or made):
        used["uncounted"] += 1


def _bigint(value: int | None) -> int | None:
    """Return the count, or None if a bigint column cannot hold it; model_output still has it."""
    return value if value is not None and abs(value) < _BIGINT_END else None


def rejected_rows(reasons: Sequence[str], parsed: int = 0) -> list[Row]:
    """Return the result rows of rows that prepare rejected.

    reasons: why each row was rejected
    parsed: the number of columns of `results.parse`
    """
    head, nulls = (None, REJECTED, *_NO_ANSWER, None), (None,) * parsed
    return [(*head, reason, None, None, None, *nulls) for reason in reasons]
