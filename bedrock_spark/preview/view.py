"""The rows of a config as they are rendered now, and what it costs to ask them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bedrock_spark.costs.call_bound import CallBound
from bedrock_spark.costs.tokens import small_dollars
from bedrock_spark.preview.asking import estimated
from bedrock_spark.preview.draft import Draft
from bedrock_spark.preview.estimate import estimate, most_of
from bedrock_spark.preview.memory import AnswerMemory, request_id
from bedrock_spark.preview.rows import PreviewRows
from bedrock_spark.preview.sides import Side
from bedrock_spark.preview.values import Estimate

if TYPE_CHECKING:
    from bedrock_spark.config.row_choice import RowChoice


@dataclass(frozen=True)
class View:
    """The rows as the config of now renders them.

    draft: the config that they are rendered by; side: its rows; rows: all their columns
    new: what it costs to ask the rows without an answer; again: to ask all rows again
    most: what asking a row costs in words, by its number; None if its price is not known
    bounds: what each body uses at most
    digest: of the requests and their prices: what a person sees who agrees to pay for them
    """

    draft: Draft
    side: Side
    rows: PreviewRows
    choice: RowChoice
    new: Estimate
    again: Estimate
    most: dict[int, str | None]
    bounds: dict[bytes, CallBound]
    digest: str

    def with_answers(self, memory: AnswerMemory, now: float) -> View:
        """Return the view after rows were asked: what was answered need not be paid for again."""
        side = replace(self.side)
        find_answers(side, memory, now)
        return replace(self, side=side, new=estimate_of(side, self.bounds))

    def request_of(self, number: int) -> bytes | None:
        """Return what tells the request of a row from others; None for a row without a request."""
        line = self.side.rendered[number - 1].line
        return None if line is None else request_id(self.side, line.body)


def view_of(
    draft: Draft,
    side: Side,
    rows: PreviewRows,
    choice: RowChoice,
    memory: AnswerMemory,
    now: float,
    *,
    asks_service: bool,
) -> View:
    """Return the view of rows that are rendered, with their prices.

    asks_service: whether the service may count the tokens of requests, which is free
    """
    side.kept = {}
    again = estimated(side, asks_service=asks_service)
    groups = side.groups()
    bounds = {body: each for (_, body), each in zip(groups, side.bounds, strict=True)}
    most = {
        number: _most_in_words(bounds[body], side) for numbers, body in groups for number in numbers
    }
    find_answers(side, memory, now)
    new = estimate_of(side, bounds)
    return View(draft, side, rows, choice, new, again, most, bounds, _digest_of(side))


def find_answers(side: Side, memory: AnswerMemory, now: float) -> None:
    """Note the answers that are known: in the store of the config, and in the memory."""
    side.look_up(now)
    bodies = {row.line.body for row in side.rendered if row.line is not None}
    side.kept |= memory.find(side, bodies)


def estimate_of(side: Side, bounds: dict[bytes, CallBound]) -> Estimate:
    """Return what the rows to ask cost, and note in the side the bound of each request."""
    side.bounds = [bounds[body] for _, body in side.groups()]
    return estimate(side.config, side.prices, side.bounds)


def _digest_of(side: Side) -> str:
    found = hashlib.sha256(repr(side.prices).encode())
    for row in side.rendered:
        found.update(b"-" if row.line is None else request_id(side, row.line.body))
    return found.hexdigest()[:32]


def _most_in_words(bound: CallBound, side: Side) -> str | None:
    """Return `at most $0.02`, or `about $0.02` if nothing bounds the call; None without a price."""
    most = most_of(side.prices, bound)
    if most is None:
        return None
    if not bound.has_limit:
        return f"{small_dollars(most)} or more"
    return f"{'at most' if bound.is_strict else 'about'} {small_dollars(most)}"
