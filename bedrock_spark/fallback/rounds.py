"""Ask the unanswered, round after round: until none is left, or rounds, money or time are used up.

After each round the shards are collected again, so the next asks only whom it must.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bedrock_spark.aws.clients import bedrock_client
from bedrock_spark.aws.provisioned import is_provisioned, wait_for_provisioned
from bedrock_spark.clock import Clock
from bedrock_spark.costs.budget import Budget, fallback_tokens, open_budget
from bedrock_spark.errors import PlanError, RunFolderError, UnreadableOutputError
from bedrock_spark.fallback.provisioning import ProvisionedThroughput
from bedrock_spark.fanout import batch_shards, open_controller
from bedrock_spark.outputs.reconcile import BAD
from bedrock_spark.progress import Observer, unobserved
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.lease import Lease, kept
from bedrock_spark.run_folder.ledger import Job
from bedrock_spark.run_folder.manifest import RunManifest
from bedrock_spark.run_folder.run import Run

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


Units = list[dict[str, Any]]

# More unreadable output lines than this, and the fallback would pay for answers that are there.
_FEW_BAD_LINES = 20
_BAD_LINES_SHARE = 0.01


@dataclass
class Fallback:
    """The fallback of one run, opened to ask.

    jobs: every batch job of the run, all of them settled
    reason: why it asks no more although there are stragglers; None while it may
    out_of_money: whether that is the budget's doing
    """

    run: Run
    manifest: RunManifest
    jobs: dict[str, Job]
    clock: Clock
    observe: Observer = unobserved
    reason: str | None = None
    out_of_money: bool = False
    rounds: int = 0
    throttled: int = 0
    _model_id: str | None = None
    _bought: ProvisionedThroughput = field(init=False)

    def __post_init__(self) -> None:
        client = bedrock_client(self.run.aws)
        self._bought = ProvisionedThroughput(client, self.run.run_id, self.run.storage, self.clock)

    def ask(self, spark: SparkSession, units: Units) -> int:
        """Ask the stragglers of collected shards once; return how many were asked.

        Where money or time does not do for all, `reason` says so.
        """
        from bedrock_spark.spark.fallback.stage import ask_unanswered

        config = self.run.config.fallback
        counts = {u["unit"]: u["unanswered_records"] for u in units if u["unanswered"]}
        if config is None or not counts:
            return 0
        refuse_unreadable(self.run, units)
        until = self._until()
        if self.reason is not None:
            return 0
        most = self._affordable(units, sum(counts.values()))
        if not most:
            return 0
        asked = ask_unanswered(
            spark, self.run, counts, self._ready_model(), most, until, self.observe
        )
        self.rounds += 1
        self.throttled += asked.throttled
        return asked.records

    def may_go_on(self, units: Units) -> bool:
        """Tell whether one more round is of use and allowed; if only not allowed, note why."""
        config, parse = self.run.config.fallback, self.run.config.results.parse
        if config is None or self.reason is not None or not unanswered_rows(units):
            return False
        retries = parse.retries if parse and any(u.get("invalid_unanswered") for u in units) else 0
        if self.rounds >= config.rounds + retries:
            self.reason = f"fallback.rounds: {config.rounds} are used up"
        return self.reason is None

    def _ready_model(self) -> str:
        """Return who is asked, ready to answer; where the config says so it is bought first."""
        config = self.run.config.fallback
        assert config is not None
        if self._model_id is None:
            model_id = config.model_id
            if config.create is not None:
                model_id = self._bought.buy(model_id, config.create).arn
            if is_provisioned(model_id):
                client = bedrock_client(self.run.aws)
                wait_for_provisioned(client, model_id, self.run.config.model, self.clock)
            self._model_id = model_id
        return self._model_id

    def give_back(self) -> None:
        """Delete what was bought, by this process or by one that died."""
        self._bought.give_back()
        self._model_id = None

    def _affordable(self, units: Units, records: int) -> int:
        """Return how many of so many records may be asked."""
        budget = self._budget(units)
        if budget is None:
            return records
        affordable = budget.affordable_fallback(self.manifest, records)
        if affordable < records:
            self.reason = budget.fallback_refusal(self.manifest, records - affordable)
            self.out_of_money = True
        return affordable

    def _budget(self, units: Units) -> Budget | None:
        budget = open_budget(self.run, batch_shards(self.manifest, self.run.config))
        if budget is not None:
            budget.jobs, budget.fallback = lambda: self.jobs, fallback_tokens(units)
        return budget

    def _until(self) -> float | None:
        hours, begun_at = self.run.config.batch.deadline_hours, self.run.begun_at
        if hours is None or begun_at is None:
            return None
        until = begun_at + hours * 3600.0
        if self.clock.now() >= until:
            self.reason = f"batch.deadline_hours: {hours:g} are over"
        return until


@contextmanager
def falling_back(
    run: Run, manifest: RunManifest, clock: Clock, observe: Observer = unobserved
) -> Iterator[Fallback]:
    """Open the fallback, for one process at a time; what it buys is given back at the end.

    Raises RunFolderError while a batch job may still answer, RunHeldError where somebody else
    drives the run.
    """
    jobs = _settled_jobs(run, manifest, clock)
    with kept(Lease(run.storage, clock)):
        fallback = Fallback(run, manifest, jobs, clock, observe)
        try:
            yield fallback
        finally:
            fallback.give_back()


def give_back_leftovers(run: Run, clock: Clock) -> bool:
    """Delete what the fallback of a process that died bought; tell whether there was something."""
    if run.storage.read_if_present(layout.PROVISIONED_FILE) is None:
        return False
    client = bedrock_client(run.aws)
    return ProvisionedThroughput(client, run.run_id, run.storage, clock).give_back() is not None


def _settled_jobs(run: Run, manifest: RunManifest, clock: Clock) -> dict[str, Job]:
    """Return the batch jobs. Raises RunFolderError while one of them may still answer."""
    if not batch_shards(manifest, run.config):
        return {}
    controller = open_controller(run, manifest, clock)
    result = controller.result()
    if not result.is_done:
        raise RunFolderError(
            f"{run.storage.uri}: {result.shards - result.settled} of {result.shards} shards "
            "still wait for their batch jobs; run submit first, or the fallback would pay for "
            "what they answer"
        )
    return controller.tracker.jobs


def refuse_unreadable(run: Run, units: Units) -> None:
    """Raise UnreadableOutputError where asking the missing records again would pay twice.

    A torn line here and there is asked again. Many of them mean that the output is of a kind this
    version cannot read; the answers are in it, paid for.
    """
    lines = sum(sum(u.get("lines", {}).values()) for u in units)
    bad = sum(u.get("lines", {}).get(BAD, 0) for u in units)
    if bad > max(_FEW_BAD_LINES, lines * _BAD_LINES_SHARE):
        raise UnreadableOutputError(
            f"{run.storage.uri}: {bad:,} of {lines:,} output lines cannot be read; their answers "
            "are paid for, so they were not asked again. The reconciliation/ folder names the lines"
        )


def unanswered_rows(units: Units) -> int:
    """Return how many rows have no answer and may still get one."""
    return sum(u["unanswered"] for u in units)


def refuse_too_small(run: Run, manifest: RunManifest) -> None:
    """Raise PlanError for records that neither a batch job nor a fallback may take."""
    small = sum(s.records for s in manifest.shards) - sum(
        s.records for s in batch_shards(manifest, run.config)
    )
    if small and run.config.fallback is None:
        raise PlanError(
            f"{small} records are in shards below shards.min_records "
            f"({run.config.shards.min_records}), which a batch job refuses; configure a fallback "
            "model to answer them, or lower shards.min_records if your quota allows it"
        )
