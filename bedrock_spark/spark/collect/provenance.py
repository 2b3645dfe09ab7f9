"""Where each answer is from, and what it cost: the run, the model, the time, dollars.

All of it is known for many answers at once: what they share is a repeated value, and their costs
are computed on columns. So a row costs some nanoseconds.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from bedrock_spark.answers.digest import Asking
from bedrock_spark.config import TokenPrices
from bedrock_spark.costs.tokens import PRICED_TOKENS
from bedrock_spark.outputs.lines import Note
from bedrock_spark.outputs.record_outcome import BATCH, FALLBACK, KEPT, Origin
from bedrock_spark.prices import CallPrices, RunPrices
from bedrock_spark.prices.call_prices import STANDARD
from bedrock_spark.spark.collect.asked_bodies import AskedBodies

_MICROSECONDS = 1_000_000
# A token costs some 1e-8 dollars at least. Without rounding, 0.00002 may be 1.9999999999999998e-05.
_DECIMALS = 12
# Input, output, reasoning, cache read and cache write.
_KINDS = 5


class Repeated(NamedTuple):
    """A column with the same value in each of `rows` rows."""

    value: Any
    rows: int


# A model as the config named it, None if it is not known, and the tier of its calls.
Call: TypeAlias = tuple[str | None, str]
# A column of results: Python's values, an Arrow array, or one value.
Column: TypeAlias = "Sequence[Any] | pa.Array | Repeated"


@dataclass(frozen=True)
class Provenance:
    """What a run knows of all its answers.

    model_id: the model of a batch job whose place is not known; None if the run has several
    prices: those that the run counts with
    asking: how it asks its models
    """

    run_id: str = ""
    model_id: str | None = None
    prices: RunPrices = field(default_factory=RunPrices)
    asking: Asking = field(default_factory=Asking)

    @property
    def fingerprint(self) -> str:
        """Return a text that changes if the columns of any unit would, but for its jobs' prices.

        It is the same in every process.

        Not `repr`: the order of a set in it is another one in each process.
        """
        prices = self.prices
        each = prices.batch, prices.fallback, prices.flex
        dollars = [None if price is None else price.model_dump_json() for price in each]
        named = prices.fallback_model, prices.fallback_tier, prices.earlier.as_json()
        values = self.run_id, self.model_id, *dollars, str(prices.image), *named
        return json.dumps([*values, asdict(self.asking)], sort_keys=True)

    def columns(
        self,
        origin: Origin,
        notes: Sequence[Note] | None,
        ids: Sequence[str],
        asked: AskedBodies,
    ) -> list[Column]:
        """Return run, model, digest of the request, and time of answers that are from one file.

        notes: of each answer; None if the file has no notes
        ids: the records; asked: the bodies of all records
        """
        rows = len(ids)
        if notes is None:
            model_id = self._model_of_job(origin)
            digests = asked.digests(ids, model_id)
            return [
                *(Repeated(self.run_id, rows), Repeated(model_id, rows)),
                Repeated(None, rows) if digests is None else digests,
                Repeated(_microseconds(origin.ended_at), rows),
            ]
        return [
            [note.run_id or self.run_id for note in notes],
            [note.model_id for note in notes],
            [asked.digest_of_call(i, note) for i, note in zip(ids, notes, strict=True)],
            [_microseconds(note.ended_at) for note in notes],
        ]

    def values(
        self, origin: Origin, note: Note | None, record_id: str, asked: AskedBodies
    ) -> tuple[str, str | None, str | None, int | None]:
        """Return run, model, digest of the request, and time of one answer or error."""
        if note is None:
            model_id = self._model_of_job(origin)
            (digest,) = asked.digests([record_id], model_id) or (None,)
            return self.run_id, model_id, digest, _microseconds(origin.ended_at)
        digest = asked.digest_of_call(record_id, note)
        return note.run_id or self.run_id, note.model_id, digest, _microseconds(note.ended_at)

    def _model_of_job(self, origin: Origin) -> str | None:
        is_batch = origin.served_by == BATCH
        return origin.model_id or (self.model_id if is_batch else None)

    def costs(
        self,
        origin: Origin,
        tokens: Sequence[pa.Array],
        images: Sequence[int] | None,
        shares: Sequence[int] | None,
        notes: Sequence[Note] | None,
    ) -> Column:
        """Return the cost of answers in dollars, for each row of those that share it.

        Those of a batch job cost what its model costs in its Region. Each answer of the fallback
        costs what its own model costs at the tier of its own call.

        origin: the file that all answers are from
        tokens: input, output, reasoning, cache read and cache write; an array of each
        images: of each answer; None if there are none
        shares: how many rows have each answer; None if each has one
        notes: of each answer; None if the file has no notes
        0 for answers that were kept. Null if an answer counts nothing that has a price, or if it is
        paid by the hour.
        """
        rows = len(tokens[0])
        if origin.served_by == KEPT:
            return Repeated(0.0, rows)
        prices, which = self._prices(origin, notes)
        dollars, has_cost = np.zeros(rows), np.zeros(rows, np.bool_)
        if any(each.tokens is not None for each in prices):
            has_price = np.array([each.tokens is not None for each in prices])
            has_cost |= is_counted(tokens, None) & has_price[which]
            by_kind = np.array([_per_token(each.tokens) for each in prices]).T
            for counts, by_price in zip(tokens, by_kind, strict=True):
                if by_price.any() and counts.null_count < rows:
                    dollars += _numbers(counts) * by_price[which]
        if images is not None and any(each.image is not None for each in prices):
            has_price = np.array([each.image is not None for each in prices])
            has_cost |= (np.asarray(images) != 0) & has_price[which]
            dollars += np.asarray(images) * np.array([float(p.image or 0) for p in prices])[which]
        if not has_cost.any():
            return Repeated(None, rows)
        if shares is not None:
            dollars /= np.asarray(shares)
        rounded = np.round(dollars, _DECIMALS)
        return pa.array(rounded, pa.float64(), mask=~has_cost)

    def cost(
        self,
        origin: Origin,
        tokens: Sequence[pa.Array],
        images: Sequence[int] | None,
        rows: int,
        note: Note | None,
    ) -> float | None:
        """Return the cost of one answer for each of its rows; see `costs`."""
        notes = None if note is None else [note]
        costs = self.costs(origin, tokens, images, [rows], notes)
        cost: float | None = costs.value if isinstance(costs, Repeated) else costs[0].as_py()
        return cost

    def _prices(
        self, origin: Origin, notes: Sequence[Note] | None
    ) -> tuple[list[CallPrices], npt.NDArray[np.int64] | int]:
        """Return the prices that some answers have, and which of them each answer has.

        A single number says that all of them have the same.
        """
        prices = self.prices
        if origin.served_by != FALLBACK:
            place = None if origin.model_id is None else (origin.model_id, origin.region)
            return [prices.of_batch(place)], 0
        calls = calls_of(notes)
        return [prices.of_call(*call) for call in calls], places_of(calls, notes)


NOT_KNOWN = Provenance()


def is_counted(tokens: Sequence[pa.Array], images: Sequence[int] | None) -> npt.NDArray[np.bool_]:
    """Tell of each answer whether it says what it used: tokens or images."""
    counted: npt.NDArray[np.bool_] = (_numbers(tokens[0]) != 0) | (_numbers(tokens[1]) != 0)
    return counted if images is None else counted | (np.asarray(images) != 0)


def calls_of(notes: Sequence[Note] | None) -> list[Call]:
    """Return the models and tiers that answered, each once. notes: of each answer; None: unknown"""
    if notes is None:
        return [(None, STANDARD)]
    return list(dict.fromkeys((note.model_id, note.tier) for note in notes))


def places_of(calls: Sequence[Call], notes: Sequence[Note] | None) -> npt.NDArray[np.int64] | int:
    """Return the place of each answer's model and tier among `calls`; 0 if there is only one."""
    if notes is None or len(calls) == 1:
        return 0
    places = {call: place for place, call in enumerate(calls)}
    return np.array([places[note.model_id, note.tier] for note in notes], np.int64)


def _per_token(prices: TokenPrices | None) -> tuple[float, ...]:
    """Return the dollars of a token of each kind; what a cache saves or adds is a difference."""
    if prices is None:
        return (0.0,) * _KINDS
    read, write = prices.cache_read, prices.cache_write
    each = (
        *(prices.input, prices.output, 0),
        *(0 if read is None else read - prices.input, 0 if write is None else write - prices.input),
    )
    return tuple(float(price) / PRICED_TOKENS for price in each)


def _numbers(counts: pa.Array) -> npt.NDArray[np.int64]:
    numbers: npt.NDArray[np.int64] = pc.fill_null(counts, 0).to_numpy(zero_copy_only=False)
    return numbers


def _microseconds(seconds: float | None) -> int | None:
    """Return a time as Arrow's timestamps hold it: microseconds since the epoch."""
    return None if seconds is None else round(seconds * _MICROSECONDS)
