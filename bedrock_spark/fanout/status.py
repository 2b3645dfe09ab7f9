"""The status of a run, for anyone on any machine: read from its folder and one listing of its jobs.

Nothing is written, and the process that controls the run is not disturbed.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from bedrock_spark.clock import Clock
from bedrock_spark.costs.used import batch_used, estimate_by, expected_of
from bedrock_spark.fanout.controller import Controller
from bedrock_spark.fanout.step_result import jobs_by_status
from bedrock_spark.fanout.tracker import ShardTracker
from bedrock_spark.run_folder.canary_results import read_tries
from bedrock_spark.run_folder.lease import read_holder

# The rate is measured over the jobs of the last day: it says how fast the run is now.
_RATE_SECONDS = 86_400.0


@dataclass(frozen=True)
class Status:
    """A run in numbers, while it goes on.

    jobs: batch jobs by status
    records, processed: of the shards that batch jobs take
    unanswered: records of done shards without an answer; the fallback will be asked for them
    tokens: input and output of batch jobs, as far as there are output manifests
    cost_usd: the cost of these tokens by the prices in the run's config; None without prices
    held: why nothing is submitted, or None
    controller: the process that controls or stops the run; None if there is none
    """

    run_id: str
    run_uri: str
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
    cost_usd: float | None
    held: str | None
    controller: str | None
    findings: list[dict[str, Any]]

    def as_json(self) -> dict[str, Any]:
        """Return it as --json prints it."""
        return asdict(self)


def status_of(controller: Controller, clock: Clock) -> Status:
    """List the run's jobs once, and return the status. `controller` must be read-only."""
    now = clock.now()
    controller.look()
    result, tracker = controller.result(), controller.tracker
    rate = _rate(tracker, now)
    left = max(0, result.records - result.processed)
    run = controller.run
    expected = expected_of(run.config, read_tries(run.storage))
    estimate = estimate_by(expected, tracker.shards.values())
    tokens, prices = batch_used(tracker.jobs.values(), estimate), run.config.prices
    has_price = prices.batch is not None or prices.image is not None
    holder = read_holder(controller.run.storage)
    return Status(
        run_id=controller.run.run_id,
        run_uri=controller.run.storage.uri,
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
        unanswered=_unanswered(tracker),
        tokens={"input": tokens.input, "output": tokens.output},
        cost_usd=float(tokens.cost(prices.batch, prices.image)) if has_price else None,
        held=result.reason,
        controller=str(holder) if holder is not None and not holder.is_over(now) else None,
        findings=controller.ledger.state.all_findings(),
    )


def _rate(tracker: ShardTracker, now: float) -> float | None:
    """Return the records per second of the jobs of the last day, including their waiting times."""
    seen = [job.seen for job in tracker.jobs.values() if job.seen is not None]
    lately = [(s.submitted_at, s.processed or 0) for s in seen if s.submitted_at is not None]
    lately = [(at, processed) for at, processed in lately if at > now - _RATE_SECONDS]
    processed = sum(n for _, n in lately)
    passed = now - min(at for at, _ in lately) if lately else 0.0
    return processed / passed if processed and passed > 0 else None


def _unanswered(tracker: ShardTracker) -> int:
    succeeded: dict[str, int] = dict.fromkeys(tracker.done_shards(), 0)
    for job in tracker.jobs.values():
        if job.shard_id in succeeded and job.seen is not None:
            succeeded[job.shard_id] += job.seen.succeeded or 0
    return sum(max(0, tracker.shards[s].records - n) for s, n in succeeded.items())
