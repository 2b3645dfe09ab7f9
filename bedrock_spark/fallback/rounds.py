"""Ask the unanswered records in rounds, until none is left, or rounds, money or time are used up.

After each round the shards are collected again, so that the next round asks only what is still
unanswered. A shard is asked only while its reconciliation is up to date: if its jobs or outputs
have changed since, it is collected first.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from bedrock_spark.aws.clients import bedrock_client
from bedrock_spark.aws.provisioned import is_provisioned, wait_for_provisioned
from bedrock_spark.clock import Clock
from bedrock_spark.costs.budget import Budget, open_budget
from bedrock_spark.costs.fallback_cost import cost_with_fallback
from bedrock_spark.errors import PlanError, RunFolderError
from bedrock_spark.fallback.provisioning import Deletion, ProvisionedThroughput
from bedrock_spark.fallback.share import HandedOver
from bedrock_spark.fanout import Controller, batch_shards, open_controller
from bedrock_spark.heartbeat import Renewal
from bedrock_spark.outputs.ask_again import ask_again_of
from bedrock_spark.outputs.reconciled_shard import ReconciledShard, unanswered_rows
from bedrock_spark.outputs.shard_outputs import jobs_digest
from bedrock_spark.progress import Observer, ignore_progress
from bedrock_spark.run_folder.lease import Lease, renewed
from bedrock_spark.run_folder.lease_wait import NO_WAIT, LeaseWait
from bedrock_spark.run_folder.ledger import BREAKER, Job
from bedrock_spark.run_folder.manifest import RunManifest
from bedrock_spark.run_folder.purchases import open_purchase
from bedrock_spark.run_folder.run import Run

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from bedrock_spark.spark.fallback.round_result import Round

log = logging.getLogger(__name__)

# How often in a row shards may have changed since they were collected, before the fallback ends.
_CHANGED_ROUNDS = 3
# The last calls and the deletion of model units take this long; a started hour is paid for.
_DELETION_SECONDS = 600.0


@dataclass
class SparkJobs:
    """The Spark actions of the fallback, which a lost lease ends.

    group: the name by which they are cancelled
    spark: the session that runs them; None before the first round
    """

    group: str | None = None
    spark: SparkSession | None = None

    def cancel(self) -> None:
        """Cancel them. Does nothing if none can run."""
        if self.spark is not None and self.group is not None:
            from bedrock_spark.spark.tasks import cancel_jobs

            cancel_jobs(self.spark, self.group)


@dataclass
class Fallback:
    """The fallback of one run, ready to ask.

    jobs: every batch job of the run by name, all of them settled
    reason: why no more records are asked although some are unanswered; None while more may be
    out_of_money: whether the budget is the reason
    gave_up: whether the rounds, the time or a refusal of all records is the reason: then the run is
        over
    rounds: how many rounds were asked; throttled: how many calls met a 429
    has_changed: whether the last round left records that must be collected or asked once more
    has_answered: whether the model has answered any record, so that it refuses single records only
    has_no_flex: whether the service has said that the model has no flex tier
    renewal: of the run's lease, without which nothing is asked; None if the caller has no lease
    spark_jobs: the actions of the round that runs
    """

    run: Run
    manifest: RunManifest
    jobs: Mapping[str, Job]
    clock: Clock
    observe: Observer = ignore_progress
    reason: str | None = None
    out_of_money: bool = False
    gave_up: bool = False
    rounds: int = 0
    throttled: int = 0
    has_changed: bool = False
    has_answered: bool = False
    has_no_flex: bool = False
    renewal: Renewal | None = None
    spark_jobs: SparkJobs = field(default_factory=SparkJobs)
    _changed_rounds: int = 0
    _handed_over: HandedOver = field(default_factory=HandedOver)
    _model_id: str | None = None
    _throughput: ProvisionedThroughput = field(init=False)

    def __post_init__(self) -> None:
        client = bedrock_client(self.run.aws)
        self._throughput = ProvisionedThroughput(
            client, self.run.run_id, self.run.storage, self.clock
        )

    def ask(self, spark: SparkSession, reconciled: Sequence[ReconciledShard]) -> int:
        """Ask the unanswered records of collected shards once; return how many were asked.

        If money or time does not suffice for all of them, `reason` says so. Raises
        FallbackShareError if batch jobs left more of them than the fallback may be asked for, and
        FallbackRefusedError if the model refuses many of them alike and answers none.
        """
        from bedrock_spark.spark.fallback.stage import ask_unanswered

        config = self.run.config.fallback
        self.has_changed = False
        unanswered = [s for s in reconciled if s.unanswered]
        if config is None or not unanswered:
            return 0
        current = self._without_changed(unanswered)
        counts = {s.unit: s.unanswered_records for s in current}
        if not counts:
            self._count_round(changed=True)
            return 0
        self._handed_over.check(self.run, self.manifest, counts)
        until = self._until()
        if self.reason is not None or self._units_are_over(reconciled):
            return 0
        most = self._affordable(reconciled, sum(counts.values()))
        if not most:
            return 0
        model_id = self._ready_model()
        # Only now it is known since when the units bill; to buy them took a while, too.
        if self._units_are_over(reconciled):
            return 0
        ends = [end for end in (until, self._units_until(reconciled)) if end is not None]
        if self.renewal is not None:
            self.renewal.check()
        self.spark_jobs.spark = spark
        digests = {s.unit: s.unanswered_digest for s in current}
        asked = ask_unanswered(
            *(spark, self.run, self.manifest.prepare_id, counts, model_id, most),
            *(min(ends, default=None), self.observe),
            digests=digests,
            files={s.shard_id: s.files for s in self.manifest.shards if s.files},
            group=self.spark_jobs.group,
            has_answered=self.has_answered,
            uses_flex=self.run.prices.has_flex and not self.has_no_flex,
            cost=self._cost(reconciled),
        )
        self._note(asked, has_changed=asked.changed > 0 or len(current) < len(unanswered))
        return asked.records

    def _note(self, asked: Round, *, has_changed: bool) -> None:
        """Note the result of a round.

        Tasks without any answer cannot know whether a refusal is about the record. If other tasks
        had answers, one more round settles it, which is not counted. If no task had any, and every
        record was refused, the fallback ends.
        """
        self.has_answered = self.has_answered or asked.answered > 0
        if asked.no_flex is not None and not self.has_no_flex:
            self.has_no_flex = True
            log.warning(
                '%s: the service refuses the flex tier: "%s". The fallback uses the default tier',
                self.run.run_id,
                asked.no_flex,
            )
        is_unsettled = self.has_answered and (asked.refused > 0 or asked.is_stopped)
        self._count_round(changed=has_changed or is_unsettled)
        self.throttled += asked.throttled
        if not self.has_answered and asked.records and asked.refused == asked.records:
            self.gave_up = True
            self.reason = (
                f"the model refused all {asked.records:,} records that it was asked: "
                f'"{asked.message}". It may be about the account: the same command asks them again'
            )

    def _without_changed(self, shards: Sequence[ReconciledShard]) -> list[ReconciledShard]:
        """Return the shards whose jobs are as they were when the shard was collected."""
        by_shard: dict[str, list[Job]] = {}
        for job in self.jobs.values():
            by_shard.setdefault(job.shard_id, []).append(job)
        known = {s.unit: jobs_digest(by_shard.get(s.unit, ())) for s in shards}
        return [s for s in shards if s.jobs_known == known[s.unit]]

    def _count_round(self, *, changed: bool) -> None:
        """Count a round against `fallback.rounds`, unless it left out shards that have changed."""
        self.has_changed = changed
        self._changed_rounds = self._changed_rounds + 1 if changed else 0
        if not changed or self._changed_rounds > _CHANGED_ROUNDS:
            self.rounds += 1

    def may_go_on(self, reconciled: Sequence[ReconciledShard]) -> bool:
        """Tell whether one more round is useful and allowed. If it is not allowed, note why."""
        config = self.run.config.fallback
        if config is None or self.reason is not None or not unanswered_rows(reconciled):
            return False
        is_again = any(shard.again_records for shard in reconciled)
        again = ask_again_of(self.run.config).total if is_again else 0
        if self.rounds >= config.rounds + again:
            self.reason = f"fallback.rounds: {config.rounds} are used up"
            self.gave_up = True
        return self.reason is None

    def _ready_model(self) -> str:
        """Return the model to ask, ready to answer; buy it first if the config says so."""
        config = self.run.config.fallback
        assert config is not None
        if self._model_id is None:
            model_id = config.model_id
            if config.create is not None:
                model_id = self._throughput.buy(model_id, config.create).arn
            if is_provisioned(model_id):
                client = bedrock_client(self.run.aws)
                wait_for_provisioned(client, model_id, self.run.config.model, self.clock)
            self._model_id = model_id
        return self._model_id

    def delete_throughput(self) -> None:
        """Delete the throughput that this process, or one that died, bought for the run."""
        self._throughput.delete()
        self._model_id = None

    def _units_until(self, reconciled: Sequence[ReconciledShard]) -> float | None:
        """Return when to make the last call, so that the budget pays for the model units."""
        budget = self._budget(reconciled)
        end = budget.units_until() if budget is not None else None
        return None if end is None else end - _DELETION_SECONDS

    def _units_are_over(self, reconciled: Sequence[ReconciledShard]) -> bool:
        """Tell whether the budget pays for no more hours of model units, and note it."""
        end, budget = self._units_until(reconciled), self._budget(reconciled)
        if budget is None or end is None or self.clock.now() < end:
            return False
        self.reason = budget.units_refusal()
        self.out_of_money = True
        return True

    def _affordable(self, reconciled: Sequence[ReconciledShard], records: int) -> int:
        """Return how many of `records` records the budget allows to ask."""
        budget = self._budget(reconciled)
        if budget is None:
            return records
        longer = sum(shard.raised_tokens for shard in reconciled)
        affordable = budget.affordable_fallback(self.manifest, records, longer)
        if affordable < records:
            left = records - affordable
            self.reason = budget.fallback_refusal(self.manifest, left, longer * left // records)
            self.out_of_money = True
        return affordable

    def _budget(self, reconciled: Sequence[ReconciledShard]) -> Budget | None:
        shards = batch_shards(self.manifest, self.run.config)
        used = (shard.fallback_models for shard in reconciled)
        now = self.clock.now()
        return open_budget(self.run, self.manifest, shards, now, self.jobs, used)

    def _cost(self, reconciled: Sequence[ReconciledShard]) -> Callable[..., Decimal | None]:
        """Return a function of what a round uses: what the run has cost by then, if it is known."""
        used = (shard.fallback_models for shard in reconciled)
        return cost_with_fallback(self.run, self.manifest, self.clock, self.jobs, used)

    def _until(self) -> float | None:
        hours, begun_at = self.run.config.batch.deadline_hours, self.run.begun_at
        if hours is None or begun_at is None:
            return None
        until = begun_at + hours * 3600.0
        if self.clock.now() >= until:
            self.reason = f"batch.deadline_hours: {hours:g} are over"
            self.gave_up = True
        return until


@contextmanager
def open_fallback(
    run: Run,
    manifest: RunManifest,
    clock: Clock,
    observe: Observer = ignore_progress,
    wait: LeaseWait = NO_WAIT,
) -> Iterator[Fallback]:
    """Open the fallback, for one process at a time; delete what it bought at the end.

    wait: for another process that has the run's lease and may be dead

    If the breaker holds the run and the fallback may answer all records, the shards that wait need
    no more jobs from now on. Raises RunFolderError while a batch job may still answer, RunHeldError
    if another process has the run's lease, or takes it over during the block: then Spark's jobs are
    cancelled at once.
    """
    spark_jobs = SparkJobs(f"bedrock-spark-fallback-{uuid.uuid4().hex[:12]}")
    with renewed(Lease(run.storage, clock, wait=wait), spark_jobs.cancel) as renewal:
        # Only with the lease: before that, another process may submit jobs.
        jobs = _settled_jobs(run, manifest, clock)
        fallback = Fallback(
            *(run, manifest, jobs, clock, observe), renewal=renewal, spark_jobs=spark_jobs
        )
        try:
            yield fallback
        finally:
            if renewal.is_lost:
                log.warning("%s: units bought for the run are left to its new holder", run.run_id)
            else:
                fallback.delete_throughput()


def delete_leftover_throughput(run: Run, clock: Clock) -> Deletion:
    """Delete what the fallback of a dead process bought, if anything."""
    if open_purchase(run.storage) is None:
        return Deletion()
    client = bedrock_client(run.aws)
    return ProvisionedThroughput(client, run.run_id, run.storage, clock).delete()


def _settled_jobs(run: Run, manifest: RunManifest, clock: Clock) -> Mapping[str, Job]:
    """Return the batch jobs. The caller has the run's lease.

    Raises RunFolderError while one of them may still answer.
    """
    if not batch_shards(manifest, run.config):
        return {}
    controller = open_controller(run, manifest, clock)
    if not controller.result().is_done and _may_take_everything(run, controller):
        # The caller has the lease. What the ledger says of the jobs may be old.
        controller.look()
        if _may_take_everything(run, controller):
            controller.leave_to_fallback()
        controller.flush()
    result = controller.result()
    if not result.is_done:
        held = f" The run is held: {controller.hold.reason}" if controller.hold else ""
        raise RunFolderError(
            f"{run.storage.uri}: {result.shards - result.settled} of {result.shards} shards "
            "still wait for their batch jobs; run submit first, or the fallback would pay for "
            f"what they answer.{held}"
        )
    return controller.jobs


def _may_take_everything(run: Run, controller: Controller) -> bool:
    """Tell whether the fallback may answer what the breaker holds back; no job may be active."""
    is_held = controller.hold is not None and controller.hold.kind == BREAKER
    is_allowed = run.config.fallback is not None and run.config.fallback.max_share >= 1
    return is_held and is_allowed and not controller.tracker.open


def refuse_too_small(run: Run, manifest: RunManifest) -> None:
    """Raise PlanError if there are records that neither a batch job nor a fallback may take."""
    small = sum(s.records for s in manifest.shards) - sum(
        s.records for s in batch_shards(manifest, run.config)
    )
    if small and run.config.fallback is None:
        raise PlanError(
            f"{small} records are in shards below shards.min_records "
            f"({run.config.shards.min_records}), which a batch job refuses; configure a fallback "
            "model to answer them. If your quota allows smaller jobs, you can lower "
            "shards.min_records instead, in a new run_uri: this run's shards are cut"
        )
