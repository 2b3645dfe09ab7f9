"""The report of a run as a value, and as report.json holds it. docs/report.md has the format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from bedrock_spark.clock import iso_time
from bedrock_spark.outputs.outcomes import (
    ERROR,
    INVALID,
    MISSING,
    NOT_OK,
    OK,
    REFUSED,
    REJECTED,
    TRUNCATED,
    UNFOUND,
)
from bedrock_spark.outputs.reasons import Reason
from bedrock_spark.prices import RunPrices, prices_as_json
from bedrock_spark.run_folder.report_file import DONE as DONE
from bedrock_spark.run_folder.report_file import VERSION, WAITING, whole_cost
from bedrock_spark.run_folder.report_shape import Failure

OUTCOMES = (OK, ERROR, INVALID, TRUNCATED, REFUSED, MISSING, UNFOUND, REJECTED, WAITING)
UNACCOUNTED = "unaccounted_rows"

# How a command left the run.
UNFINISHED, HELD, FAILED, INTERRUPTED = "unfinished", "held", "failed", "interrupted"
STATES = (DONE, UNFINISHED, HELD, FAILED, INTERRUPTED)


@dataclass(frozen=True)
class Ending:
    """How a command ended.

    state: one of STATES; stage: the stage that it ended in; at: seconds since the epoch
    """

    state: str = UNFINISHED
    stage: str = "report"
    error: Failure | None = None
    at: float | None = None


@dataclass(frozen=True)
class Report:
    """A run in numbers.

    state, stage, error: how the last command ended
    started_at: when the run was begun; ended_at: when this was written; seconds since the epoch
    rows: of the source; records: made of them
    sharing: rows that share the record of another row, because their bodies are equal
    outcomes: rows by outcome, every one of OUTCOMES
    served_by: ok rows by the side that answered, batch or fallback
    unanswered: rows without an answer, or with one that is not ok, that the fallback may ask again
    unfound: rows that are not asked again because a job claims answers that were not found
    reasons: the commonest reasons of rejected rows, errors, and answers that are not ok
    other_reasons: rows with any other reason
    stop_reasons: rows with an answer by the reason why the model stopped
    jobs: batch jobs by status; attempts: the number of batch jobs
    tokens: of the answers in the results: `input` and `output`; if there are any, `cache_read` and
        `cache_write`, a part of the input, and `reasoning`, a part of the output
    paid_tokens: input and output of everything that `cost` counts, estimates included; None before
        the rows are prepared
    fallback_tokens: what all answers of the fallback used, including superseded ones
    fallback_models: the same by the model that answered and the tier of the call, with the cost
    unpriced: what was paid for and is not in `cost`, because its price is not known
    seconds: the duration of each stage
    findings: everything that does not fit
    published: the place where the results were published; None if nowhere
    partial: the place where results that are not final were published; None if nowhere
    cost: dollars by the run's prices; None without prices
    prices: the prices, where they come from, and what is not known
    manifest_totals: tokens and images by the output manifests of all jobs
    models: what the service said of the run's models: status and life cycle
    timeline: jobs, slots, records and tokens over time; None if nothing was asked
    latency: calls of the fallback by milliseconds; lengths: rows by the output tokens of the answer
    labels: by column of the answers, rows by value, if it has few values
    saved: dollars that the run would have cost more without batch jobs and without sharing
    config: of the run, without secrets and prompts; versions: of this process
    derived_from: the run whose rows are the source, as run.json has it; None if it is another one
    canary: records by outcome in the last try of the canary, and the tokens of all tries; None
        without canary
    """

    run_id: str
    run_uri: str
    rows: int
    records: int
    sharing: int
    outcomes: dict[str, int]
    served_by: dict[str, int]
    unanswered: int
    shards: int
    jobs: dict[str, int]
    attempts: int
    tokens: dict[str, int]
    seconds: dict[str, float]
    findings: list[dict[str, Any]]
    unfound: int = 0
    published: str | None = None
    partial: str | None = None
    canary: dict[str, int] | None = None
    cost: dict[str, float] | None = None
    prices: RunPrices = field(default_factory=RunPrices)
    manifest_totals: dict[str, int] = field(default_factory=dict)
    paid_tokens: dict[str, int] | None = None
    fallback_tokens: dict[str, int] = field(default_factory=dict)
    fallback_models: list[dict[str, Any]] = field(default_factory=list)
    unpriced: list[str] = field(default_factory=list)
    reasons: list[Reason] = field(default_factory=list)
    other_reasons: int = 0
    stop_reasons: dict[str, int] = field(default_factory=dict)
    state: str = UNFINISHED
    stage: str = "report"
    error: Failure | None = None
    started_at: float | None = None
    ended_at: float | None = None
    model_id: str = ""
    fallback_model_id: str | None = None
    region: str | None = None
    models: list[dict[str, Any]] = field(default_factory=list)
    timeline: dict[str, Any] | None = None
    latency: list[dict[str, Any]] = field(default_factory=list)
    lengths: list[dict[str, Any]] = field(default_factory=list)
    labels: list[dict[str, Any]] = field(default_factory=list)
    saved: dict[str, float] | None = None
    config: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    derived_from: dict[str, Any] | None = None

    @property
    def whole_cost(self) -> float | None:
        """Return the dollars of the run; None if a part of the cost is not known."""
        return whole_cost({"cost": self.cost, "unpriced": self.unpriced})

    @property
    def is_complete(self) -> bool:
        """Tell whether every unit has the rows of the run manifest, and no other unit exists.

        A sum over all units would not do: a row too many in one shard hides a lost row of another.
        """
        return self.rows == sum(self.outcomes.values()) and not self.unaccounted_units

    @property
    def unaccounted_units(self) -> list[dict[str, Any]]:
        """Return the findings of the units whose rows are not those of the run manifest."""
        return [finding for finding in self.findings if finding["kind"] == UNACCOUNTED]

    @property
    def permanent_errors(self) -> int:
        """Return the number of rows that were asked and will never be ok."""
        not_ok = sum(self.outcomes.get(kind, 0) for kind in NOT_OK)
        return not_ok - self.unanswered - self.unfound

    def as_json(self) -> dict[str, Any]:
        """Return the report as report.json holds it."""
        return {
            "version": VERSION,
            "run_id": self.run_id,
            "run_uri": self.run_uri,
            "state": self.state,
            "stage": self.stage,
            "error": None if self.error is None else asdict(self.error),
            "started_at": iso_time(self.started_at),
            "ended_at": iso_time(self.ended_at),
            "model_id": self.model_id,
            "fallback_model_id": self.fallback_model_id,
            "region": self.region,
            "models": self.models,
            "rows": self.rows,
            "records": self.records,
            "rows_sharing_a_record": self.sharing,
            "outcomes": self.outcomes,
            "served_by": self.served_by,
            "unanswered": self.unanswered,
            "unfound": self.unfound,
            "reasons": [_reason_as_json(reason) for reason in self.reasons],
            "other_reasons": self.other_reasons,
            "stop_reasons": self.stop_reasons,
            "shards": self.shards,
            "canary": self.canary,
            "jobs": self.jobs,
            "attempts": self.attempts,
            "tokens": self.tokens,
            "paid_tokens": self.paid_tokens,
            "fallback_tokens": self.fallback_tokens,
            "fallback_models": self.fallback_models,
            "manifest_totals": self.manifest_totals,
            "cost": self.cost,
            "unpriced": self.unpriced,
            "prices": prices_as_json(self.prices),
            "seconds": {k: round(v, 2) for k, v in self.seconds.items()},
            "published": self.published,
            "partial": self.partial,
            "findings": self.findings,
            "timeline": self.timeline,
            "fallback_latency": self.latency,
            "lengths": self.lengths,
            "labels": self.labels,
            "saved": self.saved,
            "config": self.config,
            "versions": self.versions,
            "derived_from": self.derived_from,
        }

    def _repr_html_(self) -> str:
        """Return the outcome and the numbers of the run, for a notebook."""
        from bedrock_spark.page import summary

        return summary(self.as_json())


def _reason_as_json(reason: Reason) -> dict[str, Any]:
    """Return a reason with its examples in one list."""
    own = {"outcome": reason.outcome, "code": reason.code, "message": reason.message}
    return {**own, "count": reason.count, "examples": list(reason.examples)}


def all_outcomes(counts: Mapping[str, int]) -> dict[str, int]:
    """Return the number of rows by every outcome, in the order of OUTCOMES."""
    return {outcome: counts.get(outcome, 0) for outcome in OUTCOMES}
