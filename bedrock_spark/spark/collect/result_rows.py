"""Build the results of the records of a shard: the outcome of each, and what its answer holds.

Answers that are ok become columns, many at a time. Any other record becomes a row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from bedrock_spark.families.base import Answer, Family, read_answer
from bedrock_spark.outputs.images import AnswerImages
from bedrock_spark.outputs.lines import OutputRecord
from bedrock_spark.outputs.outcomes import ERROR, INVALID, OK, REFUSED, REJECTED, TRUNCATED
from bedrock_spark.outputs.reasons import ReasonCounts
from bedrock_spark.outputs.reconcile import ShardReconciliation
from bedrock_spark.outputs.record_outcome import BATCH, FALLBACK, Outcome
from bedrock_spark.outputs.settled import OkAnswers
from bedrock_spark.schema import RESULT_COLUMNS

_BIGINT_END = 2**63
# The tokens of an answer by the names in reports, in the order of `_counts`. The first two are
# totals, the others a part of them.
TOKENS = ("input", "output", "reasoning", "cache_read", "cache_write")
_USED = (*TOKENS, "images", "uncounted")
_ALWAYS = TOKENS[:2]
# What has another price if the flex tier has answered.
_FLEX_PRICED = ("input", "output", "cache_read", "cache_write")

# Nulls for the columns of an answer, which are those between outcome and error_code.
_NO_ANSWER = (None,) * (RESULT_COLUMNS.index("error_code") - 2)
_OUTCOME, _CODE, _MESSAGE = map(RESULT_COLUMNS.index, ("outcome", "error_code", "error_message"))
_WITH_REASON = frozenset({ERROR, INVALID, TRUNCATED, REFUSED})

Row = tuple[Any, ...]


class ResultRows:
    """Builds the results of the records of a shard.

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
        self._superseded: Counter[str] = Counter()
        self._superseded_flex: Counter[str] = Counter()
        self.reasons = ReasonCounts()
        self._reconciliation = reconciliation
        self._family = family
        self._images = images
        self._nulls = (None,) * parsed

    def ok_columns(self, ok: OkAnswers) -> list[Sequence[Any]]:
        """Return the result columns of records that are ok."""
        records, origin, answers = len(ok.ids), ok.origin, ok.answers
        counts = _counts(answers)
        self._add_used(answers, counts, origin.served_by, is_flex=ok.is_flex)
        none = [None] * records
        return [
            ok.ids,
            [OK] * records,
            [answer.text for answer in answers],
            [answer.reasoning for answer in answers],
            [answer.tool_input for answer in answers],
            [answer.embedding for answer in answers],
            self._images_of(ok),
            [answer.stop_reason for answer in answers],
            *counts,
            ok.outputs,
            none,
            none,
            [origin.served_by] * records,
            [origin.attempt] * records,
            [origin.job_arn] * records,
            *self._parsed(ok),
        ]

    def _images_of(self, ok: OkAnswers) -> list[list[str] | None]:
        """Write the images of the answers; return their URIs."""
        images = [answer.images for answer in ok.answers]
        if not self._images.files and not any(images):
            return [None] * len(images)
        source = ok.origin.source
        pairs = zip(ok.ids, images, strict=True)
        return [self._images.put(record_id, source, own) for record_id, own in pairs]

    def _parsed(self, ok: OkAnswers) -> list[Sequence[Any]]:
        if not self._nulls:
            return []
        parsed = (judgement.parsed for judgement in ok.judgements)
        rows = [one.values if one and one.values else self._nulls for one in parsed]
        return list(zip(*rows, strict=True))

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

    def note_superseded(self, line: OutputRecord) -> None:
        """Count an answer of the fallback that was paid for and is not in the results."""
        answers = [read_answer(line.output or b"{}", self._family)]
        used = _used(answers, _counts(answers))
        self._superseded.update(used)
        if line.is_flex:
            self._superseded_flex.update(used)

    def fallback_used(self) -> dict[str, int]:
        """Return what all answers of the fallback used, by kind; input and output also if 0.

        Those that were superseded count, too. The part that the flex tier answered is counted by
        `flex_` and the kind, too.
        """
        total = self.used[FALLBACK] + self._superseded
        flex = self.flex + self._superseded_flex
        by_kind = {name: total[name] for name in _USED if total[name] or name in _ALWAYS}
        return by_kind | {f"flex_{name}": flex[name] for name in _FLEX_PRICED if flex[name]}

    def _add_used(
        self,
        answers: Sequence[Answer],
        counts: Sequence[Sequence[int | None]],
        served_by: str,
        *,
        is_flex: bool,
    ) -> None:
        used = _used(answers, counts)
        self.used[served_by].update(used)
        if is_flex:
            self.flex.update(used)

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
        counts = _counts([answer])
        self._add_used([answer], counts, origin.served_by, is_flex=line.is_flex)
        return (
            line.record_id,
            outcome.ended,
            answer.text,
            answer.reasoning,
            answer.tool_input,
            answer.embedding,
            self._images.put(line.record_id, origin.source, answer.images),
            answer.stop_reason,
            *(count for (count,) in counts),
            line.output,
            code,
            message,
            origin.served_by,
            origin.attempt,
            origin.job_arn,
            *(parsed.values if parsed and parsed.values else self._nulls),
        )


def _counts(answers: Sequence[Answer]) -> list[list[int | None]]:
    """Return the token counts of answers: a list per kind, in the order of TOKENS."""
    return [
        _bigints([answer.input_tokens for answer in answers]),
        _bigints([answer.output_tokens for answer in answers]),
        _bigints([answer.reasoning_tokens for answer in answers]),
        _bigints([answer.cache_read_tokens for answer in answers]),
        _bigints([answer.cache_write_tokens for answer in answers]),
    ]


def _bigints(counts: list[int | None]) -> list[int | None]:
    """Replace counts that a bigint column cannot hold by None; model_output still has them."""
    if counts.count(None) == len(counts):
        return counts
    known = [count for count in counts if count is not None]
    if max(known) < _BIGINT_END and min(known) > -_BIGINT_END:
        return counts
    return [n if n is not None and abs(n) < _BIGINT_END else None for n in counts]


def _used(answers: Sequence[Answer], counts: Sequence[Sequence[int | None]]) -> Counter[str]:
    """Return what answers used: tokens, images, and how many of them tell neither."""
    used = {name: sum(filter(None, own)) for name, own in zip(TOKENS, counts, strict=True)}
    used["images"] = sum(len(answer.images) for answer in answers if answer.images)
    if not all(counts[0]):
        told = zip(answers, counts[0], counts[1], strict=True)
        used["uncounted"] = sum(1 for one, given, made in told if not (given or made or one.images))
    return Counter({name: number for name, number in used.items() if number})


def rejected_rows(reasons: Sequence[str], parsed: int = 0) -> list[Row]:
    """Return the result rows of rows that prepare rejected.

    reasons: why each row was rejected
    parsed: the number of columns of `results.parse`
    """
    head, nulls = (None, REJECTED, *_NO_ANSWER, None), (None,) * parsed
    return [(*head, reason, None, None, None, *nulls) for reason in reasons]
