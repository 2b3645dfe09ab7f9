"""A plan as a value. `plan --json` prints it; docs/schemas/plan.json is its JSON Schema."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from pydantic import BaseModel, ConfigDict

from bedrock_spark.page.words import rough_dollars
from bedrock_spark.run_folder.manifest import SourceState


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class Count(_Part):
    """An estimated number. likely: None if nothing measures it; high: None if nothing bounds it."""

    low: int
    likely: int | None
    high: int | None
    how: str

    def times(self, factor: float) -> Count:
        """Return the number, multiplied by a factor."""
        low, likely, high = (
            None if each is None else round(each * factor)
            for each in (self.low, self.likely, self.high)
        )
        return Count(low=low or 0, likely=likely, high=high, how=self.how)


class Money(_Part):
    """Estimated dollars. likely: None if nothing measures them; high: None without a bound."""

    low: Decimal
    likely: Decimal | None
    high: Decimal | None


class PlannedSource(_Part):
    """The rows of the source.

    shared: rows that share a record with an equal body; rejected: rows without a record
    kept: rows whose answer is in the store of answers, and costs nothing
    reasons: rejected rows by reason, of the most frequent reasons
    """

    rows: int
    records: int
    shared: int
    rejected: int
    reasons: dict[str, int]
    kept: int = 0


class PlannedShards(_Part):
    """The shards. online: the records in shards that are too small for a batch job."""

    shards: int
    bytes: int
    least_records: int
    most_records: int
    online: int


class PlannedJobs(_Part):
    """The batch jobs.

    at_once: how many may be active; at_once_from: what says so
    waves: how many times that number is needed; longest_hours: all waves at their time limit
    """

    jobs: int
    at_once: int
    at_once_from: str
    waves: int
    longest_hours: int


class Way(_Part):
    """What the records cost if all are asked in one way: batch, flex, on demand, priority."""

    way: str
    price: str
    cost: Money


class Refusal(_Part):
    """Why a run would end before it pays. kind: the name of the exit code."""

    kind: str
    exit_code: int
    message: str


class Why(_Part):
    """Why rows are asked. rows: how many; detail: more in words, None without any."""

    reason: str
    rows: int
    detail: str | None = None


class Earlier(_Part):
    """The last run of the same source, to compare a plan with. Costs are what it has paid so far.

    how: how it was found: the run folder, --against, or beside the run folder
    begun_at: ISO 8601 in UTC; state: how its last command left it
    input_tokens, output_tokens: of its answers
    The tokens and the cost are None if it has not collected answers, or has no prices.
    changes: what is not as it was, in words
    """

    run_uri: str
    run_id: str
    how: str
    begun_at: str | None
    state: str
    model_id: str
    rows: int
    records: int
    kept: int
    shared: int
    rejected: int
    shards: int
    input_tokens: int | None
    output_tokens: int | None
    cost: Decimal | None
    changes: tuple[str, ...]


class Basis(_Part):
    """What a plan is about: `run --plan` compares it with what would run.

    version: of this package; config_digest: SHA-256 of the config
    config: its keys that are not at their default; a prompt is replaced by a digest
    source: the state of the source, None if it is not known
    content: SHA-256 of the requests of all shards
    prices: as report.json has them; output_tokens: the mean of an answer, if it was given
    """

    version: str
    config_digest: str
    config: dict[str, Any]
    source: SourceState | None
    content: str
    prices: dict[str, Any]
    output_tokens: float | None


class Plan(_Part):
    """What a run of a config would do and cost. Nothing was paid or submitted for it.

    planned_at: ISO 8601 in UTC
    is_prepared: the run is prepared: its shards are planned, and the source was not read
    to_ask: the records that a run would still ask; None if only a collect can tell
    pays: whether there is, or may be, something to pay for
    why: why rows are asked, the most frequent reason first; empty for a first run
    input_tokens, output_tokens: of all records, each asked once; images: of all answers
    cost: of the run as it is configured; None if a price is not known
    ways: every way that has a price, for all records
    model_unit_hour: dollars of a model unit for an hour, if the config has the price
    saved_by_sharing: what rows that share a record would cost, of `cost`'s middle or lower end
    was: the last run of the same source, None if none is known
    basis: what all of this is about
    """

    run_uri: str
    model_id: str
    planned_at: str | None
    is_prepared: bool
    to_ask: int | None
    pays: bool
    why: tuple[Why, ...]
    source: PlannedSource
    shards: PlannedShards
    jobs: PlannedJobs
    input_tokens: Count
    output_tokens: Count
    images: int
    cost: Money | None
    ways: tuple[Way, ...]
    model_unit_hour: Decimal | None
    saved_by_sharing: Decimal | None
    prices_from: tuple[str, ...]
    caveats: tuple[str, ...]
    refusals: tuple[Refusal, ...]
    was: Earlier | None
    basis: Basis

    def _repr_html_(self) -> str:
        """Return the plan for a notebook."""
        from bedrock_spark.page import table

        ways = [
            (f"asked by {way.way}" if way.way != "images" else "images", _interval(way.cost))
            for way in self.ways
        ]
        rows = [
            ("rows", f"{self.source.rows:,}"),
            ("records", f"{self.source.records:,}"),
            *([("kept answers", f"{self.source.kept:,}")] if self.source.kept else []),
            ("rejected rows", f"{self.source.rejected:,}"),
            *(("asked because of", f"{w.reason}: {w.rows:,} rows") for w in self.why),
            ("shards", f"{self.shards.shards:,}"),
            ("batch jobs", f"{self.jobs.jobs:,}, {self.jobs.at_once:,} at once"),
            ("input tokens", _tokens(self.input_tokens)),
            ("output tokens", _tokens(self.output_tokens)),
            ("cost", "a price is not known" if self.cost is None else _interval(self.cost)),
            *ways,
            *([] if self.was is None else [("the last run", _of(self.was))]),
            ("run folder", self.run_uri),
        ]
        notes = [*(refusal.message for refusal in self.refusals), *self.caveats]
        return table(f"Plan for {self.model_id}", rows, notes, "Nothing was paid or submitted.")


def _of(was: Earlier) -> str:
    cost = "" if was.cost is None else f", {rough_dollars(float(was.cost))}"
    return f"{was.rows:,} rows, {was.records:,} records{cost}: {was.run_uri}"


def _tokens(count: Count) -> str:
    likely = "" if count.likely is None else f"{count.likely:,}, "
    high = "any number" if count.high is None else f"{count.high:,}"
    return f"{likely}{count.low:,} to {high}"


def _interval(money: Money) -> str:
    likely = "" if money.likely is None else f"{rough_dollars(float(money.likely))}, "
    high = "no upper bound" if money.high is None else rough_dollars(float(money.high))
    return f"{likely}{rough_dollars(float(money.low))} to {high}"
