"""A plan as a value. `plan --json` prints it; docs/schemas/plan.json is its JSON Schema."""

from __future__ import annotations

from decimal import Decimal

from pydantic import BaseModel, ConfigDict

from bedrock_spark.page.words import rough_dollars


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class Count(_Part):
    """An estimated number. likely: None if nothing measures it; high: None if nothing bounds it."""

    low: int
    likely: int | None
    high: int | None
    how: str


class Money(_Part):
    """Estimated dollars. likely: None if nothing measures them; high: None without a bound."""

    low: Decimal
    likely: Decimal | None
    high: Decimal | None


class PlannedSource(_Part):
    """The rows of the source.

    shared: rows that share a record with an equal body; rejected: rows without a record
    reasons: rejected rows by reason, of the most frequent reasons
    """

    rows: int
    records: int
    shared: int
    rejected: int
    reasons: dict[str, int]


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


class Plan(_Part):
    """What a run of a config would do and cost. Nothing was paid, submitted or written for it.

    is_prepared: the run is prepared: its shards are planned, and the source was not read
    input_tokens, output_tokens: of all records, each asked once; images: of all answers
    cost: of the run as it is configured; None if a price is not known
    spent: what the run has cost so far
    ways: every way that has a price, for all records
    model_unit_hour: dollars of a model unit for an hour, if the config has the price
    saved_by_sharing: what rows that share a record would cost, of `cost`'s middle or lower end
    """

    run_uri: str
    model_id: str
    is_prepared: bool
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
            ("rejected rows", f"{self.source.rejected:,}"),
            ("shards", f"{self.shards.shards:,}"),
            ("batch jobs", f"{self.jobs.jobs:,}, {self.jobs.at_once:,} at once"),
            ("input tokens", _tokens(self.input_tokens)),
            ("output tokens", _tokens(self.output_tokens)),
            ("cost", "a price is not known" if self.cost is None else _interval(self.cost)),
            *ways,
            ("run folder", self.run_uri),
        ]
        notes = [*(refusal.message for refusal in self.refusals), *self.caveats]
        return table(f"Plan for {self.model_id}", rows, notes, "Nothing was paid or submitted.")


def _tokens(count: Count) -> str:
    likely = "" if count.likely is None else f"{count.likely:,}, "
    high = "any number" if count.high is None else f"{count.high:,}"
    return f"{likely}{count.low:,} to {high}"


def _interval(money: Money) -> str:
    likely = "" if money.likely is None else f"{rough_dollars(float(money.likely))}, "
    high = "no upper bound" if money.high is None else rough_dollars(float(money.high))
    return f"{likely}{rough_dollars(float(money.low))} to {high}"
