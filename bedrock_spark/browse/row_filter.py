"""Which rows of a run are wanted: by outcome, by reason, by the value of a column, by a text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from bedrock_spark.browse.unit_file import may_hold
from bedrock_spark.config import ResultsConfig
from bedrock_spark.costs.tokens import small_dollars
from bedrock_spark.errors import ConfigError
from bedrock_spark.outputs.outcomes import MISSING, OK, UNFOUND
from bedrock_spark.outputs.reasons import pattern_of

Mask = npt.NDArray[np.bool_]

# Result columns that are not searched: they hold words of this package, and answers a second time.
_NOT_SEARCHED = (
    *("outcome", "served_by", "job_arn", "run_id", "model_id", "request_digest", "stop_reason"),
    "model_output",
)
# An amount of dollars as pages show it.
_AMOUNT = re.compile(r"[0-9]{1,20}(?:\.[0-9]{1,20})?")
# Rows with these outcomes have no reason: nothing came back.
WITHOUT_REASON = (OK, MISSING, UNFOUND)


@dataclass(frozen=True)
class ErrorGroup:
    """Rows that are not ok for one reason, as `bedrock-spark errors` groups them.

    code: of the error, None if there is none; message: its pattern, without a value of a row
    """

    outcome: str
    code: int | None
    message: str

    @property
    def text(self) -> str:
        """Return it as an address holds it: `error 500 the message`, `-` for no code."""
        return f"{self.outcome} {'-' if self.code is None else self.code} {self.message}"

    @classmethod
    def of(cls, text: str) -> ErrorGroup:
        """Return the group of such a text. Raises ConfigError if it is none."""
        outcome, _, rest = text.partition(" ")
        code, _, message = rest.partition(" ")
        if not outcome or not (code == "-" or code.removeprefix("-").isdecimal()):
            raise ConfigError(
                f"error = {text!r}: is no group of errors; take one of the list, such as "
                "'error 500 try again'"
            )
        return cls(outcome, None if code == "-" else int(code), message)


@dataclass(frozen=True)
class RowFilter:
    """The wanted rows: those for which everything that is given holds.

    outcomes: () for any
    error: the group of errors that they are in
    column, value: a column, of the source or of the answers, and its value as text; "" is null, or
        an empty text
    text: is in a text of the row: of its source columns, of its answer, of its message; any case
    """

    outcomes: tuple[str, ...] = ()
    error: ErrorGroup | None = None
    column: str | None = None
    value: str = ""
    text: str = ""

    @property
    def is_empty(self) -> bool:
        """Tell whether all rows are wanted."""
        return self == RowFilter()

    def columns(self, schema: pa.Schema, results: ResultsConfig) -> list[str]:
        """Return the columns that `mask` needs. Raises ConfigError for one that does not exist."""
        needed: list[str] = []
        if self.outcomes or self.error is not None:
            needed.append(results.outcome_column)
        if self.error is not None:
            needed += [f"{results.prefix}error_code", f"{results.prefix}error_message"]
        if self.column is not None:
            needed.append(self._column_in(schema))
        if self.text:
            needed += searched_columns(schema, results)
        return list(dict.fromkeys(name for name in needed if name in schema.names))

    def mask(self, rows: pa.Table, results: ResultsConfig) -> Mask:
        """Tell of each row whether it is wanted. rows: with `columns`, or more"""
        wanted: Mask = np.ones(rows.num_rows, np.bool_)
        if self.outcomes:
            wanted &= _is_one_of(rows.column(results.outcome_column), self.outcomes)
        if self.error is not None:
            wanted &= _is_in_group(rows, self.error, results)
        if self.column is not None:
            column = rows.column(self._column_in(rows.schema))
            bounds = cost_bounds(self.column, self.value, column.type, results)
            if bounds is None:
                wanted &= _has_value(column, self.value)
            else:
                own = _array(column)
                is_high_enough = pc.greater_equal(own, bounds[0])
                wanted &= _numpy(pc.and_(is_high_enough, pc.less_equal(own, bounds[1])))
        if self.text and wanted.any():
            found: Mask = np.zeros(rows.num_rows, np.bool_)
            for name in searched_columns(rows.schema, results):
                found |= _has_text(rows.column(name), self.text)
            wanted &= found
        return wanted

    def may_be_in(self, group: Any, results: ResultsConfig) -> bool:
        """Tell by its statistics whether a row group may have a wanted row.

        group: its metadata (pyarrow's RowGroupMetaData)
        """
        outcomes = self.outcomes or ((self.error.outcome,) if self.error is not None else ())
        wanted: list[tuple[str, Sequence[str]]] = []
        if outcomes:
            wanted.append((results.outcome_column, outcomes))
        if self.column is not None and self.value:
            wanted.append((self.column, (self.value,)))
        return not wanted or all(may_hold(group, name, values) for name, values in wanted)

    def _column_in(self, schema: pa.Schema) -> str:
        assert self.column is not None
        if self.column not in schema.names:
            raise ConfigError(
                f"column {self.column}: the results have no such column; they have "
                f"{', '.join(schema.names)}"
            )
        return self.column


def searched_columns(schema: pa.Schema, results: ResultsConfig) -> list[str]:
    """Return the columns in which a text is looked for: texts of the source and of the answers."""
    left_out = {f"{results.prefix}{name}" for name in _NOT_SEARCHED}
    return [
        field.name for field in schema if field.name not in left_out and is_text_type(field.type)
    ]


def is_text_type(kind: pa.DataType) -> bool:
    """Tell whether a column holds texts."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def is_measure(kind: pa.DataType) -> bool:
    """Tell whether a column holds what is written in several ways: floats, dates and times."""
    is_time = pa.types.is_date(kind) or pa.types.is_timestamp(kind)
    return bool(pa.types.is_floating(kind) or is_time)


def measure_of(text: str, kind: pa.DataType) -> pa.Scalar | None:
    """Return the value of such a column that a text names; None if it names none.

    The text may be as a page shows the value, which is not as Arrow or Spark writes it.
    """
    try:
        if pa.types.is_floating(kind):
            return pa.scalar(float(text), kind)
        if pa.types.is_date(kind):
            return pa.scalar(date.fromisoformat(text), kind)
        moment = datetime.fromisoformat(text)
        if kind.tz is None and moment.tzinfo is not None:
            return None
        is_naive = kind.tz is not None and moment.tzinfo is None
        return pa.scalar(moment.replace(tzinfo=UTC) if is_naive else moment, kind)
    except (ValueError, OverflowError, pa.ArrowException):
        return None


def cost_bounds(
    column: str, text: str, kind: pa.DataType, results: ResultsConfig
) -> tuple[float, float] | None:
    """Return the least and the greatest cost of a row that pages show as this text, rounded.

    None if it is another column, or the text is no cost as pages show it.
    """
    if column != f"{results.prefix}cost_usd" or not pa.types.is_floating(kind):
        return None
    text = text.strip().removeprefix("$").replace(",", "")
    if not _AMOUNT.fullmatch(text):
        return None
    amount = Decimal(text)
    if small_dollars(amount).replace(",", "") != f"${text}":
        return None
    # Any cost that is not 0 is shown with a digit that is not.
    half = Decimal(5).scaleb(int(amount.as_tuple().exponent) - 1) if amount else Decimal()
    return float(amount - half), float(amount + half)


def _numpy(found: Any) -> Mask:
    mask: Mask = pc.fill_null(found, False).to_numpy(zero_copy_only=False)
    return mask


def _array(column: pa.ChunkedArray) -> pa.Array:
    own = column.combine_chunks()
    return own.chunk(0) if isinstance(own, pa.ChunkedArray) else own


def _is_one_of(column: pa.ChunkedArray, values: Sequence[str]) -> Mask:
    return _numpy(pc.is_in(_array(column), pa.array(list(values), pa.string())))


def _is_in_group(rows: pa.Table, group: ErrorGroup, results: ResultsConfig) -> Mask:
    found = _is_one_of(rows.column(results.outcome_column), (group.outcome,))
    codes = _array(rows.column(f"{results.prefix}error_code"))
    found &= _numpy(pc.is_null(codes) if group.code is None else pc.equal(codes, group.code))
    if group.outcome in WITHOUT_REASON:
        return found
    messages = rows.column(f"{results.prefix}error_message")
    for row in np.flatnonzero(found).tolist():
        found[row] = pattern_of(messages[row].as_py() or "") == group.message
    return found


def _has_value(column: pa.ChunkedArray, value: str) -> Mask:
    own = _array(column)
    if pa.types.is_nested(own.type) or pa.types.is_binary(own.type):
        raise ConfigError("column: holds lists, structures or bytes; name a column of plain values")
    if value and is_measure(own.type):
        wanted = measure_of(value, own.type)
        if wanted is None:
            return np.zeros(len(own), np.bool_)
        return _numpy(pc.equal(own, wanted))
    texts = own if is_text_type(own.type) else pc.cast(own, pa.string())
    if value:
        return _numpy(pc.equal(texts, value))
    return _numpy(pc.is_null(texts)) | _numpy(pc.equal(texts, ""))


def _has_text(column: pa.ChunkedArray, text: str) -> Mask:
    return _numpy(pc.match_substring(_array(column), text, ignore_case=True))
