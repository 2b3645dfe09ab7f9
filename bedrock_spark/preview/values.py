"""A preview as a value. docs/schemas/preview.json is its JSON Schema, as `--json` prints it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from pydantic import BaseModel, ConfigDict

from bedrock_spark.costs.tokens import small_dollars
from bedrock_spark.outputs.outcomes import ERROR, MISSING, REJECTED
from bedrock_spark.planning.values import Count, Money


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class Estimate(_Part):
    """What a preview may cost at most, before it asks. high: None if nothing bounds it.

    doubts: why a call may cost more than `high` counts, in words; "" if `high` is a strict bound
    price: on demand; None if it is not known
    """

    rows: int
    input_tokens: int
    low: Decimal
    high: Decimal | None
    doubts: str = ""
    price: str | None

    @property
    def words(self) -> str:
        """Return the dollars in words: `at most $0.02`, or `about $0.02` if that is no bound."""
        if self.price is None and not self.high:
            return "the price is not known"
        if self.high is None:
            return f"{small_dollars(self.low)} or more"
        return f"{'about' if self.doubts else 'at most'} {small_dollars(self.high)}"


class AnsweredRow(_Part):
    """A row and its answer.

    number: of the row, from 1; row: its columns, long texts cut
    request: the body, if prompts are asked for
    outcome: as in the results; `missing` is a row that was not asked
    reason: why it is not ok; error_code: of the service
    shares: the number of the row whose answer it shares, because their bodies are equal
    columns: the answer as `results.parse` reads it
    cost: on demand; None if the price is not known, or the tokens are not
    kept_from: the run whose answer it is, if it was in the store of answers
    """

    number: int
    row: dict[str, Any]
    request: Any = None
    outcome: str
    reason: str | None = None
    error_code: int | None = None
    shares: int | None = None
    text: str | None = None
    tool_input: str | None = None
    columns: dict[str, Any] | None = None
    vector: int | None = None
    images: int = 0
    stop_reason: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: Decimal | None = None
    seconds: float | None = None
    kept_from: str | None = None

    @property
    def has_answer(self) -> bool:
        """Tell whether the model answered, in whatever form."""
        return self.outcome not in (REJECTED, MISSING, ERROR)

    @property
    def is_paid(self) -> bool:
        """Tell whether a call was made for this row."""
        is_asked = self.outcome not in (REJECTED, MISSING) and self.kept_from is None
        return is_asked and self.shares is None


class Whole(_Part):
    """What a run of the whole source would use and cost: see `Plan`, which counts exactly.

    records: those of the source, rows that are rejected or share a record included
    cost: None if a price is not known
    """

    records: int
    input_tokens: Count
    output_tokens: Count
    images: int
    cost: Money | None


class Previewed(_Part):
    """The rows as one config asks them.

    config: its name; columns: those of `results.parse`
    rows: in the order in which they were read
    estimate: None if nothing is asked; whole: None if it was not asked for
    """

    config: str
    model_id: str
    columns: tuple[str, ...]
    estimate: Estimate | None
    rows: tuple[AnsweredRow, ...]
    outcomes: dict[str, int]
    input_tokens: int
    output_tokens: int
    cost: Decimal | None
    whole: Whole | None
    notes: tuple[str, ...]

    @property
    def unknown_calls(self) -> int:
        """Return how many calls were made whose cost is not known."""
        return sum(row.is_paid and row.cost is None for row in self.rows)


class Preview(_Part):
    """The answers of the first rows of a source, by one config or by two.

    where: the condition that chose the rows
    same: in how many rows the answers of both configs are equal, of those with an answer; None if
        there is one config
    unasked: how many answers are missing because of the limit of money
    """

    key: tuple[str, ...]
    where: str | None
    previews: tuple[Previewed, ...]
    same: int | None
    unasked: int

    @property
    def has_answer(self) -> bool:
        """Tell whether any row has an answer that is ok."""
        return any(each.outcomes.get("ok") for each in self.previews)

    def _repr_html_(self) -> str:
        """Return the answers and the costs as a table, for a notebook."""
        from bedrock_spark.preview.page import table_html

        return table_html(self)


def is_same(one: AnsweredRow, other: AnsweredRow) -> bool:
    """Tell whether two answers are equal: by their columns, or else by their text."""
    if one.outcome != other.outcome:
        return False
    if one.columns is not None and other.columns is not None:
        return one.columns == other.columns
    return (one.text or "").strip() == (other.text or "").strip()
