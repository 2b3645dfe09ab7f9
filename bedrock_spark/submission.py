"""Open the controller of a run's batch jobs, once nothing speaks against paying for them.

Before the first job, the canary must pass and the estimated cost must be within the budget.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bedrock_spark.canary import ask_canary, is_canary_due
from bedrock_spark.clock import Clock
from bedrock_spark.costs.budget import log_estimate, open_budget
from bedrock_spark.costs.used import check_prices
from bedrock_spark.errors import BudgetError
from bedrock_spark.fanout import Controller, StepResult, batch_shards, leased_controller
from bedrock_spark.outputs.reconciliations import read_reconciliations
from bedrock_spark.progress import Observer
from bedrock_spark.report import Reporter
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.lease_wait import NO_WAIT, LeaseWait
from bedrock_spark.run_folder.ledger import Ledger
from bedrock_spark.run_folder.manifest import RunManifest
from bedrock_spark.run_folder.model_use import ModelUse
from bedrock_spark.run_folder.run import Run, check_still_own, record_config
from bedrock_spark.storage import Storage


@contextmanager
def open_submission(
    run: Run,
    manifest: RunManifest,
    clock: Clock,
    observe: Observer,
    reporter: Reporter,
    wait: LeaseWait = NO_WAIT,
) -> Iterator[Controller]:
    """Open the leased controller with the budget as its policy, after the canary has passed.

    wait: for another process that has the lease and may be dead

    Before the first job of a run, raises BudgetError if the estimated cost of the whole run is
    above the budget. Raises RunFolderError if another process has begun the run again with another
    config while this one prepared it.
    """
    reporter.stage = "batch"
    check_still_own(run)
    check_prices(run.config, run.prices)
    shards = batch_shards(manifest, run.config)
    is_due = bool(shards) and is_canary_due(run)
    limit = run.config.budget.max_cost_usd
    is_begun = bool(Ledger(run.storage).replay()) if is_due or limit is not None else True
    if is_due and not is_begun:
        with reporter.timed("canary"):
            ask_canary(run, shards, clock, observe)
    reporter.stage = "batch"
    budget = open_budget(run, manifest, shards, clock.now(), fallback=_fallback_counts(run.storage))
    if not is_begun:
        if budget is not None:
            budget.check_estimate(manifest)
        else:
            log_estimate(run, manifest, shards, clock.now())
    with (
        reporter.timed("batch"),
        leased_controller(run, manifest, clock, budget, wait=wait) as controller,
    ):
        record_config(run, clock.now())
        yield controller


def refuse_spent(run: Run, result: StepResult) -> None:
    """Raise BudgetError if the budget allows no more jobs."""
    if not result.is_done and result.reason is not None:
        raise BudgetError(f"{run.storage.uri}: {result.reason}")


def _fallback_counts(storage: Storage) -> Iterator[tuple[ModelUse, ...]]:
    """Yield what the fallback has used by shard, as far as it has answered anything."""
    if any(storage.scan(f"{layout.FALLBACK}/")):
        yield from (shard.fallback_models for shard in read_reconciliations(storage))
