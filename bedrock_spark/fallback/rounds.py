"""Ask the unanswered records in rounds, until none is left, or rounds, money or time are used up.

After each round the shards are collected again, so that the next round asks only what is still
unanswered.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bedrock_spark.aws.clients import bedrock_client
from bedrock_spark.aws.provisioned import is_provisioned, wait_for_provisioned
from bedrock_spark.clock import Clock
from bedrock_spark.costs.budget import Budget, fallback_tokens, open_budget
from bedrock_spark.errors import PlanError, RunFolderError, UnreadableOutputError
from bedrock_spark.fallback.provisioning import ProvisionedThroughput
from bedrock_spark.fallback.share import check_share
from bedrock_spark.fanout import Controller, batch_shards, leased_controller, open_controller
from bedrock_spark.outputs.reconcile import BAD
from bedrock_spark.outputs.reconciled_shard import ReconciledShard
from bedrock_spark.progress import Observer, ignore_progress
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.lease import Lease, renewed
from bedrock_spark.run_folder.ledger import BREAKER, Job
from bedrock_spark.run_folder.manifest import RunManifest
from bedrock_spark.run_folder.run import Run

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# If more output lines are unreadable, the fallback would pay for answers that exist already.
_FEW_BAD_LINES = 20
_BAD_LINES_SHARE = 0.01


@dataclass
class Fallback:
    """The fallback of one run, ready to ask.

    jobs: every batch job of the run by name, all of them settled
    reason: why no more records are asked although some are unanswered; None while more may be
    out_of_money: whether the budget is the reason
    rounds: how many rounds were asked; throttled: how many calls met a 429
    """

    run: Run
    manifest: RunManifest
    jobs: Mapping[str, Job]
    clock: Clock
    observe: Observer = ignore_progress
    reason: str | None = None
    out_of_money: bool = False
    rounds: int = 0
    throttled: int = 0
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
        FallbackShareError if batch jobs left more of them than the fallback may be asked for.
        """
        from bedrock_spark.spark.fallback.stage import ask_unanswered

        config = self.run.config.fallback
        counts = {s.unit: s.unanswered_records for s in reconciled if s.unanswered}
        if config is None or not counts:
            return 0
        refuse_unreadable(self.run, reconciled)
        if not self.rounds:
            check_share(self.run, self.manifest, counts)
        until = self._until()
        if self.reason is not None:
            return 0
        most = self._affordable(reconciled, sum(counts.values()))
        if not most:
            return 0
        asked = ask_unanswered(
            spark, self.run, counts, self._ready_model(), most, until, self.observe
        )
        self.rounds += 1
        self.throttled += asked.throttled
        return asked.records

    def may_go_on(self, reconciled: Sequence[ReconciledShard]) -> bool:
        """Tell whether one more round is useful and allowed. If it is not allowed, note why."""
        config, parse = self.run.config.fallback, self.run.config.results.parse
        if config is None or self.reason is not None or not unanswered_rows(reconciled):
            return False
        retries = parse.retries if parse and any(s.invalid_unanswered for s in reconciled) else 0
        if self.rounds >= config.rounds + retries:
            self.reason = f"fallback.rounds: {config.rounds} are used up"
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

    def _affordable(self, reconciled: Sequence[ReconciledShard], records: int) -> int:
        """Return how many of `records` records the budget allows to ask."""
        budget = self._budget(reconciled)
        if budget is None:
            return records
        affordable = budget.affordable_fallback(self.manifest, records)
        if affordable < records:
            self.reason = budget.fallback_refusal(self.manifest, records - affordable)
            self.out_of_money = True
        return affordable

    def _budget(self, reconciled: Sequence[ReconciledShard]) -> Budget | None:
        shards = batch_shards(self.manifest, self.run.config)
        used = fallback_tokens(shard.fallback_tokens for shard in reconciled)
        return open_budget(self.run, shards, self.jobs, used)

    def _until(self) -> float | None:
        hours, begun_at = self.run.config.batch.deadline_hours, self.run.begun_at
        if hours is None or begun_at is None:
            return None
        until = begun_at + hours * 3600.0
        if self.clock.now() >= until:
            self.reason = f"batch.deadline_hours: {hours:g} are over"
        return until


@contextmanager
def open_fallback(
    run: Run, manifest: RunManifest, clock: Clock, observe: Observer = ignore_progress
) -> Iterator[Fallback]:
    """Open the fallback, for one process at a time; delete what it bought at the end.

    If the breaker holds the run and the fallback may answer all records, the shards that wait need
    no more jobs from now on. Raises RunFolderError while a batch job may still answer, RunHeldError
    if another process has the run's lease.
    """
    jobs = _settled_jobs(run, manifest, clock)
    with renewed(Lease(run.storage, clock)):
        fallback = Fallback(run, manifest, jobs, clock, observe)
        try:
            yield fallback
        finally:
            fallback.delete_throughput()


def delete_leftover_throughput(run: Run, clock: Clock) -> bool:
    """Delete what the fallback of a dead process bought; tell whether there was anything."""
    if run.storage.read_if_present(layout.PROVISIONED_FILE) is None:
        return False
    client = bedrock_client(run.aws)
    return ProvisionedThroughput(client, run.run_id, run.storage, clock).delete() is not None


def _settled_jobs(run: Run, manifest: RunManifest, clock: Clock) -> Mapping[str, Job]:
    """Return the batch jobs. Raises RunFolderError while one of them may still answer."""
    if not batch_shards(manifest, run.config):
        return {}
    controller = open_controller(run, manifest, clock)
    if not controller.result().is_done and _may_take_everything(run, controller):
        with leased_controller(run, manifest, clock) as controller:
            controller.look()
            if _may_take_everything(run, controller):
                controller.leave_to_fallback()
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


def refuse_unreadable(run: Run, reconciled: Sequence[ReconciledShard]) -> None:
    """Raise UnreadableOutputError if asking the missing records again would pay for them twice.

    A few torn lines are asked again. Many of them mean that this version cannot read the output:
    the answers are in it, and they are paid for.
    """
    lines = sum(sum(shard.lines.values()) for shard in reconciled)
    bad = sum(shard.lines.get(BAD, 0) for shard in reconciled)
    if bad > max(_FEW_BAD_LINES, lines * _BAD_LINES_SHARE):
        raise UnreadableOutputError(
            f"{run.storage.uri}: {bad:,} of {lines:,} output lines cannot be read; their answers "
            "are paid for, so they were not asked again. The reconciliation/ folder names the lines"
        )


def unanswered_rows(reconciled: Sequence[ReconciledShard]) -> int:
    """Return how many rows have no answer and may still get one."""
    return sum(shard.unanswered for shard in reconciled)


def refuse_too_small(run: Run, manifest: RunManifest) -> None:
    """Raise PlanError if there are records that neither a batch job nor a fallback may take."""
    small = sum(s.records for s in manifest.shards) - sum(
        s.records for s in batch_shards(manifest, run.config)
    )
    if small and run.config.fallback is None:
        raise PlanError(
            f"{small} records are in shards below shards.min_records "
            f"({run.config.shards.min_records}), which a batch job refuses; configure a fallback "
            "model to answer them, or lower shards.min_records if your quota allows it"
        )
