"""Judge an answer: what its family reads from it, and whether that is what was asked for.

The first line that is true of an answer decides:

| the answer | outcome |
| --- | --- |
| is a known form of error | `error` |
| has another shape than its family's | `error` |
| has no image, and a stop reason by which the model, a filter or a guardrail declined | `refused` |
| has a stop reason that says that it was cut off | `truncated` |
| has the family's shape, and nothing that can be asked for | `truncated` |
| does not fit `results.parse` | `invalid` |
| any other | `ok` |

A stop reason goes before the columns: of an object that fits, nobody knows whether a better one
would have followed. ask_again.py says which answers are asked again.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from bedrock_spark.families.base import Answer, Family, decode_output, read_decoded
from bedrock_spark.families.endings import Ending
from bedrock_spark.outputs.outcomes import ERROR, INVALID, OK, REFUSED, TRUNCATED
from bedrock_spark.outputs.parse import AnswerParser, Parsed
from bedrock_spark.outputs.record_errors import RecordError, error_in_place_of_answer
from bedrock_spark.outputs.shape import shape_of
from bedrock_spark.schema import Field

# The findings about answers without what was asked for.
UNREADABLE, EMPTY = "unreadable", "empty"
# A stop reason is a word of the model's maker. Some models give a sentence in its place, which may
# hold anything: it is counted under this name.
OTHER_STOP_REASON = "other"
# Stop reasons whose meaning is remembered. A model has a few; sentences are all different.
_MOST_KNOWN = 100
_CUT = (Ending.TRUNCATED, Ending.NO_ROOM)
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,39}")


class Judgement(msgspec.Struct, frozen=True, gc=False):
    """What an answer is.

    ended: ok, invalid, truncated, refused or error
    stop_reason: the word to count it by; None if the answer has none
    error: why it is no answer, if it ended with an error
    reason: why it is truncated or refused
    is_final: whether it would end in the same way if the record was asked again
    parsed: its columns, or why they do not fit; None if it was refused, and without
        `results.parse` and `request.schema`
    finding: unreadable or empty, if nothing that was asked for is found; None otherwise
    shape: its keys and types, for the finding
    """

    ended: str
    stop_reason: str | None = None
    error: RecordError | None = None
    reason: str | None = None
    is_final: bool = False
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
        self._common: dict[tuple[str | None, Ending], Judgement] = {}
        self._known: dict[str | None, tuple[str | None, Ending]] = {}

    def __call__(self, output: bytes, *, has_files: bool = False) -> Judgement:
        """Judge a modelOutput. Raises nothing.

        has_files: whether the job wrote images of this record as files
        """
        return self.read(output, has_files=has_files)[1]

    def read(self, output: bytes, *, has_files: bool = False) -> tuple[Answer, Judgement]:
        """Read a modelOutput, and judge it. Raises nothing."""
        plain = self._family.read_plain
        answer = plain(output) if plain is not None else None
        if answer is not None and not answer.is_empty:
            return answer, self._judge(answer, None, has_files=has_files)
        decoded = decode_output(output)
        answer = read_decoded(decoded, self._family)
        return answer, self._judge(answer, decoded, has_files=has_files)

    def read_many(self, outputs: Sequence[bytes]) -> tuple[list[Answer], list[Judgement]]:
        """Read and judge each modelOutput of records without image files. Raises nothing."""
        plain = self._family.read_plain
        if plain is None:
            judged = [self.read(output) for output in outputs]
            return [answer for answer, _ in judged], [judgement for _, judgement in judged]
        answers: list[Answer] = []
        judgements: list[Judgement] = []
        # Without columns, answers that are not empty differ by their stop reason alone.
        known: dict[str | None, Judgement] = {}
        for output in outputs:
            answer = plain(output)
            text = answer.text if answer is not None else None
            if answer is None or ((not text or text.isspace()) and answer.is_empty):
                answer, judgement = self.read(output)
            elif self._parser is not None or answer.stop_reason not in known:
                judgement = self._judge(answer, None, has_files=False)
                if self._parser is None:
                    known[answer.stop_reason] = judgement
            else:
                judgement = known[answer.stop_reason]
            answers.append(answer)
            judgements.append(judgement)
        return answers, judgements

    def _judge(self, answer: Answer, decoded: Any, *, has_files: bool) -> Judgement:
        """Judge an answer.

        decoded: what it was read from; any value if the answer is not empty
        """
        word, ending = self._word_and_ending(answer)
        if ending is Ending.REFUSED and (answer.images or has_files):
            # Some images were withheld, and others were not.
            ending = Ending.OTHER
        is_empty = answer.is_empty and self._family.reads_answers and not has_files
        if is_empty:
            if not _has_shape_of_family(answer):
                return self._unreadable(decoded, answer)
            if ending is not Ending.REFUSED:
                return self._empty(decoded, answer, word, ending)
        if self._parser is not None and ending is not Ending.REFUSED:
            return self._parsed(self._parser.parse(answer), word, ending)
        common = self._common.get((word, ending))
        if common is None:
            common = self._common[word, ending] = _by_ending(word, ending)
        return common

    def _word_and_ending(self, answer: Answer) -> tuple[str | None, Ending]:
        found = self._known.get(answer.stop_reason)
        if found is None:
            found = _word(answer.stop_reason), self._family.ending_of(answer)
            if len(self._known) < _MOST_KNOWN:
                self._known[answer.stop_reason] = found
        return found

    def _parsed(self, parsed: Parsed, word: str | None, ending: Ending) -> Judgement:
        """Judge an answer by its columns; it keeps those that fit, also if it was cut off."""
        if ending in _CUT:
            return msgspec.structs.replace(_by_ending(word, ending), parsed=parsed)
        return Judgement(OK if parsed.reason is None else INVALID, word, parsed=parsed)

    def _empty(self, decoded: Any, answer: Answer, word: str | None, ending: Ending) -> Judgement:
        return Judgement(
            TRUNCATED,
            word,
            reason=_emptiness(answer, word),
            is_final=ending is Ending.NO_ROOM,
            finding=EMPTY,
            shape=shape_of(decoded),
        )

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


def _by_ending(word: str | None, ending: Ending) -> Judgement:
    """Return the judgement of an answer that has something in it and is not parsed."""
    if ending is Ending.REFUSED:
        return Judgement(REFUSED, word, reason=f"refused: stop reason {word}")
    if ending in _CUT:
        is_final = ending is Ending.NO_ROOM
        return Judgement(TRUNCATED, word, reason=f"cut off: stop reason {word}", is_final=is_final)
    return Judgement(OK, word)


def _word(stop_reason: str | None) -> str | None:
    if stop_reason is None:
        return None
    is_word = _WORD.fullmatch(stop_reason) is not None
    return sys.intern(stop_reason) if is_word else OTHER_STOP_REASON
