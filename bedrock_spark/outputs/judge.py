"""Judge an answer: what its family reads from it, and whether that is what was asked for.

| the answer | outcome | asked again |
| --- | --- | --- |
| has text, tool input, a vector or images | `ok`; `invalid` if it does not fit | see below |
| has the family's shape and is empty | `error`; with `results.parse` `invalid` | see below |
| is a known form of error | `error` | if the code of the error says so |
| has another shape | `error` | no: it was paid for |

An invalid answer is asked again as often as `results.parse.retries` says, but never if it was
refused. No other answer is asked again.

Refused: the stop reason says that the model, a filter or a guardrail declined.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from typing import Any

import msgspec

from bedrock_spark.families.base import Answer, Family, decode_output, read_decoded
from bedrock_spark.families.endings import Ending
from bedrock_spark.outputs.lines import RecordError, error_in_place_of_answer
from bedrock_spark.outputs.outcomes import ERROR, INVALID, OK
from bedrock_spark.outputs.parse import AnswerParser, Parsed
from bedrock_spark.outputs.shape import shape_of
from bedrock_spark.schema import Field

# The findings about answers without what was asked for.
UNREADABLE, EMPTY = "unreadable", "empty"
# A stop reason is a word of the model's maker. Some models give a sentence in its place, which may
# hold anything: it is counted under this name.
OTHER_STOP_REASON = "other"
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,39}")


class Judgement(msgspec.Struct, frozen=True, gc=False):
    """What an answer is.

    ended: ok, invalid or error
    stop_reason: the word to count it by; None if the answer has none
    is_refused: whether the model, a filter or a guardrail declined: asking again would not help
    error: why it is no answer, if it ended with an error
    parsed: its columns, or why they do not fit; None without `results.parse` and `request.schema`
    finding: unreadable or empty, if nothing that was asked for is found; None otherwise
    shape: its keys and types, for the finding
    """

    ended: str
    stop_reason: str | None = None
    is_refused: bool = False
    error: RecordError | None = None
    parsed: Parsed | None = None
    finding: str | None = None
    shape: str = ""


class Judge:
    """Judges the answers of one family.

    columns: those of `results.parse`; none if answers are not parsed
    schema: the JSON Schema of `request.schema`, which answers must fit; None if there is none
    """

    def __init__(
        self,
        family: Family,
        columns: tuple[Field, ...] = (),
        schema: Mapping[str, Any] | None = None,
    ) -> None:
        self.parses = bool(columns) or schema is not None
        self._family = family
        self._parser = AnswerParser(columns, schema) if self.parses else None
        # Most answers of a shard have the same judgement: one object serves them all.
        self._whole: dict[tuple[str | None, bool], Judgement] = {}

    def __call__(self, output: bytes, *, has_files: bool = False) -> Judgement:
        """Judge a modelOutput. Raises nothing.

        has_files: whether the job wrote images of this record as files
        """
        decoded = decode_output(output)
        answer = read_decoded(decoded, self._family)
        word = _word(answer.stop_reason)
        is_refused = self._family.ending_of(answer) is Ending.REFUSED
        is_empty = answer.is_empty and self._family.reads_answers and not has_files
        if is_empty and not _has_shape_of_family(answer):
            return self._unreadable(decoded, answer)
        finding, shape = (EMPTY, shape_of(decoded)) if is_empty else (None, "")
        if self._parser is not None:
            parsed = self._parser.parse(answer)
            ended = OK if parsed.reason is None else INVALID
            return Judgement(ended, word, is_refused, None, parsed, finding, shape)
        if is_empty:
            error = RecordError(None, _emptiness(answer, word), retryable=False)
            return Judgement(ERROR, word, is_refused, error, None, finding, shape)
        whole = self._whole.get((word, is_refused))
        if whole is None:
            whole = self._whole[word, is_refused] = Judgement(OK, word, is_refused)
        return whole

    def _unreadable(self, decoded: Any, answer: Answer) -> Judgement:
        is_paid = answer.input_tokens is not None or answer.output_tokens is not None
        error = None if is_paid else error_in_place_of_answer(decoded)
        if error is not None:
            return Judgement(ERROR, error=error)
        shape = shape_of(decoded)
        message = f"unreadable: the family {self._family.name} finds no answer in {shape}"
        error = RecordError(None, message, retryable=False)
        return Judgement(ERROR, error=error, finding=UNREADABLE, shape=shape)


def _has_shape_of_family(answer: Answer) -> bool:
    """Tell whether the family reads anything at all from an empty answer, but for tokens."""
    parts = answer.text, answer.stop_reason, answer.reasoning
    return any(part is not None for part in parts)


def _emptiness(answer: Answer, word: str | None) -> str:
    what = "reasoning, but no text" if answer.reasoning else "no text, tool input, vector or image"
    return f"empty: the answer has {what}{f'; stop reason {word}' if word else ''}"


def _word(stop_reason: str | None) -> str | None:
    if stop_reason is None:
        return None
    is_word = _WORD.fullmatch(stop_reason) is not None
    return sys.intern(stop_reason) if is_word else OTHER_STOP_REASON
