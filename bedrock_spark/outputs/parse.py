"""Find the JSON of an answer that fits the columns of `results.parse`, or say why none does.

With `request.schema` an answer must fit the schema, too; without columns, its members are the names
that rule 2 looks for.

One rule for every answer:

1. The input of the first tool call is looked at first, and then the text. A text that is JSON as a
   whole is one value. In any other text, reasoning is cut first, and then every complete JSON value
   counts (json_values.py). What is cut off or broken is no value, nor is anything inside it.
2. An object that has at least one of the columns fits, or it does not. What is inside it is never
   looked at. The items of an array, and the members of an object without any of the columns, are
   looked at in the same way.
3. Of all objects that fit, the last one counts. `Parsed.others` is the number of the others.

Reasoning is never an answer: if only reasoning holds such an object, the answer does not fit.

No lenient parser is used. json-repair completes what is cut off, and its time grows faster than the
text; json5 and dirtyjson read no text with words around the value.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bedrock_spark.families.base import Answer
from bedrock_spark.outputs.columns import Misfit, reader_of
from bedrock_spark.outputs.json_values import NOT_JSON, decode, find_values
from bedrock_spark.outputs.lines import whole_characters
from bedrock_spark.outputs.reasoning_tags import reasoning_spans
from bedrock_spark.outputs.schema_check import SchemaCheck
from bedrock_spark.schema import Field

_NO_TEXT = "the answer has no text"
_NO_JSON = "the answer holds no JSON object"
_NO_COLUMN = "the answer's JSON has none of the columns"
_BROKEN = "the answer's JSON is cut off, broken or nested too deeply"
_IN_REASONING = "the answer's JSON is inside its reasoning"


@dataclass(frozen=True, slots=True)
class Parsed:
    """The values of an answer in the order of the columns, or the reason why it does not fit.

    others: how many other objects of the answer fit, too
    """

    values: tuple[Any, ...] | None
    reason: str | None = None
    others: int = 0


class AnswerParser:
    """Reads answers as columns.

    fields: the columns; () to check the schema only
    schema: what answers must fit; None if only the columns say it
    """

    def __init__(self, fields: tuple[Field, ...], schema: Mapping[str, Any] | None = None) -> None:
        """Build the readers. Raises ValueError if the schema is not valid."""
        self._check = SchemaCheck(schema) if schema is not None else None
        names = frozenset(field.name for field in fields)
        self._names = names if self._check is None else names or self._check.names
        self._read = reader_of(fields)

    def parse(self, answer: Answer) -> Parsed:
        """Return the values of an answer, or the reason why it does not fit. Raises nothing."""
        reason = None
        if answer.tool_input is not None:
            # If it does not fit, its reason counts, unless the text has an object with a column.
            called = self._last_fit([decode(whole_characters(answer.tool_input))])
            if called.values is not None:
                return called
            reason = called.reason or "the tool call has none of the columns"
        if answer.text is None or not answer.text or answer.text.isspace():
            return Parsed(None, reason or _NO_TEXT)
        values, default = _values_in(whole_characters(answer.text))
        written = self._last_fit(values)
        if written.values is not None or written.reason is not None:
            return written
        return Parsed(None, reason or default)

    def _last_fit(self, values: Iterable[Any]) -> Parsed:
        """Return the last object that fits; else the reason of the last one that does not.

        If no object has any of the columns, neither is there.
        """
        last: tuple[Any, ...] | None = None
        reason = None
        fits = 0
        for candidate in _candidates(values, self._names):
            try:
                if self._check is not None:
                    self._check(candidate)
                last = tuple(self._read(candidate).values())
                fits += 1
            except Misfit as exc:
                reason = str(exc)
        return Parsed(None, reason) if last is None else Parsed(last, None, fits - 1)


def _candidates(values: Iterable[Any], names: frozenset[str]) -> Iterator[Mapping[str, Any]]:
    """Yield the objects that have at least one of the names, in their order."""
    rest = list(values)[::-1]
    while rest:  # not recursive: the values may be nested more deeply than Python allows
        value = rest.pop()
        if isinstance(value, list):
            rest += value[::-1]
        elif isinstance(value, dict):
            if names.isdisjoint(value):
                rest += list(value.values())[::-1]
            else:
                yield value


def _values_in(text: str) -> tuple[list[Any], str]:
    """Return the values in a text, and the reason if no object of theirs has a column."""
    whole = decode(text)
    if whole is not NOT_JSON:
        return [whole], _NO_COLUMN
    found = find_values(text)
    reasoning = reasoning_spans(text, ((v.start, v.stop) for v in found.values))
    values = []
    spans = iter([*reasoning, (len(text), len(text))])
    start, stop = next(spans)
    for value in found.values:
        while stop <= value.start:
            start, stop = next(spans)
        if value.start < start:
            values.append(value.value)
    if values:
        return values, _NO_COLUMN
    if found.values:
        return values, _IN_REASONING
    return values, _BROKEN if found.is_broken else _NO_JSON
