"""Build the results of the records of a shard: the outcome of each, and what its answer holds.

Answers that are ok become columns, many at a time. Any other record becomes a row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bedrock_spark.families.base import Answer, Family, read_answer
from bedrock_spark.outputs.images import AnswerImages
from bedrock_spark.outputs.lines import Note, OutputRecord
from bedrock_spark.outputs.outcomes import ERROR, INVALID, OK, REFUSED, REJECTED, TRUNCATED
from bedrock_spark.outputs.reasons import ReasonCounts
from bedrock_spark.outputs.reconcile import ShardReconciliation
from bedrock_spark.outputs.record_outcome import BATCH, FALLBACK, KEPT, Outcome
from bedrock_spark.outputs.settled import OkAnswers
from bedrock_spark.run_folder.model_use import UseByModel
from bedrock_spark.schema import RESULT_COLUMNS
from bedrock_spark.spark.collect.asked_bodies import NO_BODIES, AskedBodies
from bedrock_spark.spark.collect.provenance import (
    NOT_KNOWN,
    Column,
    Provenance,
    Repeated,
    calls_of,
    is_counted,
    places_of,
)

_BIGINT_END = 2**63
# A batch of answers with no count above this has a sum that fits into 64 bits.
_LARGE_COUNT = 2**40
# The tokens of an answer by the names in reports, in the order of `_counts`. The first two are
# totals, the others a part of them.
TOKENS = ("input", "output", "reasoning", "cache_read", "cache_write")
_ALWAYS = TOKENS[:2]

# Nulls for the columns of an answer, which are those between outcome and error_code.
_NO_ANSWER = (None,) * (RESULT_COLUMNS.index("error_code") - 2)
# Nulls for a row without a reply: from error_code to job_arn, and after run_id.
_NO_REPLY = (None,) * (RESULT_COLUMNS.index("run_id") - RESULT_COLUMNS.index("error_code"))
_UNKNOWN = (None,) * (len(RESULT_COLUMNS) - RESULT_COLUMNS.index("run_id") - 1)
_OUTCOME, _CODE, _MESSAGE = map(RESULT_COLUMNS.index, ("outcome", "error_code", "error_message"))
_WITH_REASON = frozenset({ERROR, INVALID, TRUNCATED, REFUSED})

Row = tuple[Any, ...]


class ResultRows:
    """Builds the results of the records of a shard.

    family: reads the answers
    parsed: the number of columns of `results.parse`
    used: what the answers in the results so far used, by `served_by` and kind: one of TOKENS,
        "images", or "uncounted" answers that tell neither tokens nor images
    fallback_used: what all answers of the fallback used, those that were superseded, too
    reasons: why the rows so far have no answer
    provenance: says where the answers are from, and what they cost
    asked: the bodies of the records, as far as they are known
    """

    def __init__(
        self,
        reconciliation: ShardReconciliation,
        family: Family,
        images: AnswerImages,
        parsed: int = 0,
        provenance: Provenance = NOT_KNOWN,
        asked: AskedBodies = NO_BODIES,
    ) -> None:
        self.used: dict[str, Counter[str]] = {side: Counter() for side in (BATCH, FALLBACK, KEPT)}
        self.fallback_used = UseByModel()
        self.reasons = ReasonCounts()
        self._reconciliation = reconciliation
        self._family = family
        self._images = images
        self._nulls = (None,) * parsed
        self._provenance = provenance
        self._asked = asked
        expected = reconciliation.expected
        self._is_shared = sum(expected.values()) > len(expected)

    def ok_columns(self, ok: OkAnswers) -> list[Column]:
        """Return the result columns of records that are ok."""
        records, origin, answers = len(ok.ids), ok.origin, ok.answers
        counts, images = _counts(answers), _numbers_of_images(answers)
        self._add_used(counts, images, origin.served_by, ok.notes)
        expected = self._reconciliation.expected
        shares = [expected[i] for i in ok.ids] if self._is_shared else None
        return [
            ok.ids,
            Repeated(OK, records),
            [answer.text for answer in answers],
            [answer.reasoning for answer in answers],
            [answer.tool_input for answer in answers],
            [answer.embedding for answer in answers],
            self._images_of(ok),
            [answer.stop_reason for answer in answers],
            *counts,
            ok.outputs,
            Repeated(None, records),
            Repeated(None, records),
            Repeated(origin.served_by, records),
            Repeated(origin.attempt, records),
            Repeated(origin.job_arn, records),
            *self._provenance.columns(origin, ok.notes, ok.ids, self._asked),
            self._provenance.costs(origin, counts, images, shares, ok.notes),
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

    def _parsed(self, ok: OkAnswers) -> list[Column]:
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
            rest = (*_NO_REPLY, self._provenance.run_id, *_UNKNOWN, *self._nulls)
            row: Row = (record_id, ended, *_NO_ANSWER, *rest)
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
        """Return the tokens of the answers in the results that the run paid for, by kind."""
        total = self.used[BATCH] + self.used[FALLBACK]
        return {name: total[name] for name in TOKENS if total[name] or name in _ALWAYS}

    def kept_tokens(self) -> dict[str, int]:
        """Return the tokens of the answers in the results that were kept."""
        return {name: n for name, n in self.used[KEPT].items() if name in TOKENS}

    def note_superseded(self, line: OutputRecord) -> None:
        """Count an answer of the fallback that was paid for and is not in the results."""
        answers = [read_answer(line.output or b"{}", self._family)]
        notes = None if line.note is None else [line.note]
        self._add_by_model(_counts(answers), _numbers_of_images(answers), notes)

    def _add_used(
        self,
        counts: Sequence[pa.Array],
        images: Sequence[int] | None,
        served_by: str,
        notes: Sequence[Note] | None,
    ) -> None:
        self.used[served_by].update(_used(counts, images))
        if served_by == FALLBACK:
            self._add_by_model(counts, images, notes)

    def _add_by_model(
        self,
        counts: Sequence[pa.Array],
        images: Sequence[int] | None,
        notes: Sequence[Note] | None,
    ) -> None:
        calls = calls_of(notes)
        places = places_of(calls, notes)
        for place, call in enumerate(calls):
            own, own_images = counts, images
            if len(calls) > 1:
                chosen = places == place
                own = [each.filter(pa.array(chosen)) for each in counts]
                own_images = None if images is None else np.asarray(images)[chosen].tolist()
            self.fallback_used.add(*call, len(own[0]), _used(own, own_images))

    def _error_row(self, record_id: str, outcome: Outcome) -> Row:
        error, origin = outcome.record.error, outcome.origin
        assert error is not None
        cause = error.code, error.message, origin.served_by, origin.attempt, origin.job_arn
        note = outcome.record.note
        asked = self._provenance.values(origin, note, record_id, self._asked)
        return (record_id, outcome.ended, *_NO_ANSWER, *cause, *asked, None, *self._nulls)

    def _answered_row(self, line: OutputRecord, outcome: Outcome, answer: Answer) -> Row:
        origin, parsed, error = outcome.origin, outcome.parsed, outcome.error
        code, message = None, outcome.reason
        if error is not None:
            code, message = error.code, error.message
        counts, images = _counts([answer]), _numbers_of_images([answer])
        notes = None if line.note is None else [line.note]
        self._add_used(counts, images, origin.served_by, notes)
        cost = self._provenance.cost(
            *(origin, counts, images, self._reconciliation.expected[line.record_id]),
            line.note,
        )
        return (
            line.record_id,
            outcome.ended,
            answer.text,
            answer.reasoning,
            answer.tool_input,
            answer.embedding,
            self._images.put(line.record_id, origin.source, answer.images),
            answer.stop_reason,
            *(count.as_py() for (count,) in counts),
            line.output,
            code,
            message,
            origin.served_by,
            origin.attempt,
            origin.job_arn,
            *self._provenance.values(origin, line.note, line.record_id, self._asked),
            cost,
            *(parsed.values if parsed and parsed.values else self._nulls),
        )


def _counts(answers: Sequence[Answer]) -> list[pa.Array]:
    """Return the token counts of answers: an array per kind, in the order of TOKENS."""
    return [
        _bigints([answer.input_tokens for answer in answers]),
        _bigints([answer.output_tokens for answer in answers]),
        _bigints([answer.reasoning_tokens for answer in answers]),
        _bigints([answer.cache_read_tokens for answer in answers]),
        _bigints([answer.cache_write_tokens for answer in answers]),
    ]


def _bigints(counts: list[int | None]) -> pa.Array:
    """Return counts as bigints.

    Those that a bigint cannot hold become null; model_output still has them.
    """
    if counts[0] is None and counts.count(None) == len(counts):
        return pa.nulls(len(counts), pa.int64())
    try:
        return pa.array(counts, pa.int64())
    except (OverflowError, pa.ArrowInvalid):
        fitting = [n if n is not None and abs(n) < _BIGINT_END else None for n in counts]
        return pa.array(fitting, pa.int64())


def _numbers_of_images(answers: Sequence[Answer]) -> list[int] | None:
    """Return the number of images of each answer; None if there are none."""
    images = [answer.images for answer in answers]
    return list(map(len, images)) if any(images) else None


def _used(counts: Sequence[pa.Array], images: Sequence[int] | None) -> Counter[str]:
    """Return what answers used: tokens, images, and how many of them tell neither."""
    used = {name: _sum(own) for name, own in zip(TOKENS, counts, strict=True)}
    used["images"] = sum(images or ())
    used["uncounted"] = len(counts[0]) - int(np.count_nonzero(is_counted(counts, images)))
    return Counter({name: number for name, number in used.items() if number})


def _sum(counts: pa.Array) -> int:
    if counts.null_count == len(counts):
        return 0
    if pc.max(pc.abs(counts)).as_py() > _LARGE_COUNT:
        return sum(filter(None, counts.to_pylist()))
    total: int = pc.sum(counts).as_py()
    return total


def rejected_rows(
    reasons: Sequence[str], parsed: int = 0, provenance: Provenance = NOT_KNOWN
) -> list[Row]:
    """Return the result rows of rows that prepare rejected.

    reasons: why each row was rejected
    parsed: the number of columns of `results.parse`
    """
    head = (None, REJECTED, *_NO_ANSWER, None)
    tail = (None, None, None, provenance.run_id, *_UNKNOWN, *(None,) * parsed)
    return [(*head, reason, *tail) for reason in reasons]
