"""The status of a run, for anyone on any machine: read from its folder and one listing of its jobs.

Nothing is written, and the process that controls the run is not disturbed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from bedrock_spark.clock import Clock
from bedrock_spark.costs.budget import open_budget
from bedrock_spark.costs.run_cost import RunCost, cost_so_far
from bedrock_spark.errors import BudgetError, ConfigError
from bedrock_spark.fanout.controller import Controller
from bedrock_spark.fanout.run_stage import (
    CLEANED,
    PREPARING,
    Ended,
    is_finished,
    read_ended,
    stage_of,
)
from bedrock_spark.fanout.step_result import batch_shards, jobs_by_status
from bedrock_spark.fanout.tracker import ShardTracker
from bedrock_spark.garbage import garbage_collection_paused
from bedrock_spark.outputs.record_outcome import FALLBACK
from bedrock_spark.prices import prices_as_json
from bedrock_spark.run_folder.canary_results import read_tries
from bedrock_spark.run_folder.lease import read_holder
from bedrock_spark.run_folder.ledger import REFUSED
from bedrock_spark.run_folder.model_use import uses_of_json
from bedrock_spark.run_folder.purchases import read_purchases, unit_hours
from bedrock_spark.run_folder.run import Run

# The rate is measured over the jobs of the last day: it says how fast the run is now.
_RATE_SECONDS = 86_400.0


@dataclass(frozen=True)
class Status:
    """A run in numbers, while it goes on.

    stage: the last stage that has left something; is_finished: whether nothing is left to do
    published: the places that have the results
    blocked: what keeps the run from going on, None if nothing does: `by`, which is stopped,
        refused, breaker, no_slots or, before the first job, budget, and the `reason`
    outcomes: rows by outcome, None before the rows are collected
    last_error: the `kind` and `message` of the error that ended the last command, None if none did
    jobs: batch jobs by status
    records, processed: of the shards that batch jobs take
    unanswered: once the rows are collected, those that may still get an answer; before, the
        records of done shards without an answer, whose errors are not known yet
    tokens: input and output of batch jobs, as far as there are output manifests
    cost: dollars for batch jobs, fallback, canary and model units, and the total, as the report has
        them; None without prices
    cost_lacks: what was paid for, or may have been, and is not in `cost`, in words
    prices: the prices, their origin and what is not known, as in report.json
    controller: the process that controls or stops the run; None if there is none
    """

    run_id: str
    run_uri: str
    stage: str
    is_finished: bool
    published: tuple[str, ...]
    blocked: dict[str, str] | None
    outcomes: dict[str, int] | None
    last_error: dict[str, Any] | None
    shards: int
    settled: int
    active: int
    waiting: int
    jobs: dict[str, int]
    records: int
    processed: int
    records_per_second: float | None
    eta_seconds: float | None
    slots_used: int
    slots: int
    unanswered: int
    tokens: dict[str, int]
    cost: dict[str, float] | None
    cost_lacks: tuple[str, ...]
    prices: dict[str, Any]
    controller: str | None
    findings: list[dict[str, Any]]

    def as_json(self) -> dict[str, Any]:
        """Return it as --json prints it."""
        return asdict(self)


@garbage_collection_paused()
def status_of(controller: Controller, clock: Clock) -> Status:
    """List the run's jobs once, and return the status. `controller` must be read-only."""
    now = clock.now()
    controller.look()
    result, tracker = controller.result(), controller.tracker
    rate = rate_of(tracker, now)
    left = max(0, result.records - result.processed)
    run = controller.run
    ended = read_ended(run)
    cost = _cost(controller, ended, now)
    stage = stage_of(
        ended, is_prepared=True, has_jobs=bool(tracker.jobs), is_batch_over=result.is_done
    )
    is_over = is_finished(ended, run.config, is_batch_over=result.is_done)
    return Status(
        run_id=run.run_id,
        run_uri=run.storage.uri,
        stage=stage,
        is_finished=is_over,
        published=ended.places,
        blocked=_blocked(controller, now),
        outcomes=ended.outcomes,
        last_error=ended.error,
        shards=result.shards,
        settled=result.settled,
        active=result.active,
        waiting=result.waiting,
        jobs=jobs_by_status(tracker.jobs),
        records=result.records,
        processed=result.processed,
        records_per_second=rate,
        eta_seconds=left / rate if rate and not result.is_done else None,
        slots_used=result.active + sum(t.slots.others for t in controller.targets),
        slots=sum(t.slots.cap for t in controller.targets),
        unanswered=_unanswered(tracker) if ended.unanswered is None else ended.unanswered,
        tokens={"input": cost.batch.input, "output": cost.batch.output},
        cost=cost.as_json(),
        cost_lacks=(*cost.unpriced, *_unreported(run, ended, is_finished=is_over)),
        prices=prices_as_json(run.prices),
        controller=_holder(run, now),
        findings=controller.ledger.state.all_findings(),
    )


def status_unprepared(run: Run, clock: Clock) -> Status:
    """Return the status of a run that has no manifest yet."""
    return Status(
        run_id=run.run_id,
        run_uri=run.storage.uri,
        stage=PREPARING,
        is_finished=False,
        published=(),
        blocked=None,
        outcomes=None,
        last_error=read_ended(run).error,
        shards=0,
        settled=0,
        active=0,
        waiting=0,
        jobs={},
        records=0,
        processed=0,
        records_per_second=None,
        eta_seconds=None,
        slots_used=0,
        slots=0,
        unanswered=0,
        tokens={"input": 0, "output": 0},
        cost=None,
        cost_lacks=(),
        prices=prices_as_json(run.prices),
        controller=_holder(run, clock.now()),
        findings=[],
    )


def status_cleaned(run: Run, clock: Clock) -> Status:
    """Return the status of a run whose shards and jobs clean has deleted.

    Its cost is that of the report.
    """
    ended = read_ended(run)
    report = ended.report or {}
    return replace(
        status_unprepared(run, clock),
        stage=CLEANED,
        is_finished=True,
        published=ended.places,
        outcomes=ended.outcomes,
        last_error=None,
        cost=report.get("cost"),
        cost_lacks=tuple(report.get("unpriced", ())),
    )


def _cost(controller: Controller, ended: Ended, now: float) -> RunCost:
    """Return what a run has cost: its jobs as they are now, the fallback by the last report.

    The fallback's answers are in one object of each shard, which are too many to read here.
    """
    run = controller.run
    uses = uses_of_json((ended.report or {}).get("fallback_models") or [])
    hours = unit_hours(read_purchases(run.storage), now)
    tries, jobs = read_tries(run.storage), controller.tracker.jobs
    return cost_so_far(run, controller.manifest, jobs, tries, [uses], hours)


def _unreported(run: Run, ended: Ended, *, is_finished: bool) -> Iterator[str]:
    """Yield what the fallback may have been paid for, and the last report does not count."""
    if run.config.fallback is None or is_finished:
        return
    if not ended.is_collected and not ended.asks_fallback:
        return
    at = (ended.report or {}).get("ended_at")
    yield f"{FALLBACK} since {at}" if at else FALLBACK


def _holder(run: Run, now: float) -> str | None:
    holder = read_holder(run.storage)
    return str(holder) if holder is not None and not holder.is_over(now) else None


def _blocked(controller: Controller, now: float) -> dict[str, str] | None:
    """Return what keeps the run from submitting the jobs that it needs, and why."""
    result = controller.result()
    if result.is_done:
        return None
    if controller.hold is not None:
        return {"by": controller.hold.kind, "reason": controller.hold.reason}
    if controller.rejection is not None:
        return {"by": REFUSED, "reason": str(controller.rejection)}
    if controller.tracker.jobs:
        return None
    run, manifest = controller.run, controller.manifest
    try:
        budget = open_budget(run, manifest, batch_shards(manifest, run.config), now)
        # Before the canary nothing is known of the costs but the config's limits.
        if budget is not None and read_tries(run.storage):
            budget.check_estimate(manifest)
    except BudgetError as exc:
        return {"by": "budget", "reason": str(exc)}
    except ConfigError:  # a price is missing: the next command says so
        return None
    return None


def rate_of(tracker: ShardTracker, now: float) -> float | None:
    """Return the records per second of the jobs of the last day, including their waiting times."""
    begin, all_seen = now - _RATE_SECONDS, (job.seen for job in tracker.jobs.values())
    lately = [
        (seen.submitted_at, seen.processed or 0)
        for seen in all_seen
        if seen is not None and seen.submitted_at is not None and seen.submitted_at > begin
    ]
    processed = sum(n for _, n in lately)
    passed = now - min(at for at, _ in lately) if lately else 0.0
    return processed / passed if processed and passed > 0 else None


def _unanswered(tracker: ShardTracker) -> int:
    succeeded: dict[str, int] = dict.fromkeys(tracker.done_shards(), 0)
    for job in tracker.jobs.values():
        if job.shard_id in succeeded and job.seen is not None:
            succeeded[job.shard_id] += job.seen.succeeded or 0
    return sum(max(0, tracker.shards[s].records - n) for s, n in succeeded.items())
