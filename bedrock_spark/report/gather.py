"""Gather from the run folder what a report needs, and say in which state a command left the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from bedrock_spark.errors import BedrockSparkError
from bedrock_spark.fanout import unsettled_shards
from bedrock_spark.outputs.reconciled_shard import ReconciledShard
from bedrock_spark.report.build import build_report, unique
from bedrock_spark.report.findings import held_finding, purchase_findings
from bedrock_spark.report.totals import last_totals, totals_of
from bedrock_spark.report.values import (
    FAILED,
    HELD,
    INTERRUPTED,
    UNFINISHED,
    Ending,
    Failure,
    Report,
)
from bedrock_spark.run_folder.canary_results import read_tries
from bedrock_spark.run_folder.ledger import Ledger
from bedrock_spark.run_folder.manifest import RunManifest
from bedrock_spark.run_folder.purchases import read_purchases, unit_hours
from bedrock_spark.run_folder.run import Run


def gather_report(
    run: Run,
    manifest: RunManifest | None,
    units: Sequence[ReconciledShard] | None,
    seconds: Mapping[str, float],
    ending: Ending,
    now: float,
) -> Report:
    """Return the report of a run as it stands.

    manifest: None if prepare is not committed
    units: every reconciliation; None if this process did not collect: then what the last report
        says of the rows, and where they were published, still holds
    now: in seconds since the epoch
    """
    state = Ledger(run.storage).load()
    purchases = read_purchases(run.storage)
    if units is None or manifest is None:
        totals = last_totals(run.storage, manifest)
    else:
        totals = totals_of(manifest, units, unsettled_shards(run, manifest, state))
    is_held = state.hold is not None and ending.state in (FAILED, UNFINISHED)
    if is_held:
        ending = replace(ending, state=HELD)
    report = build_report(
        *(run, manifest, state.jobs, totals, seconds, replace(ending, at=now)),
        tries=read_tries(run.storage),
        unit_hours=unit_hours(purchases, now),
    )
    held = [held_finding(state.hold.reason)] if is_held and state.hold is not None else []
    findings = [*report.findings, *state.all_findings(), *purchase_findings(purchases), *held]
    return replace(report, findings=unique(findings))


def ending_of(exc: BaseException, stage: str) -> Ending:
    """Return how a command ended that an error or Ctrl-C ended. Holds are added later."""
    state = INTERRUPTED if isinstance(exc, KeyboardInterrupt) else FAILED
    # Only our own messages are known to hold no value of a row.
    message = str(exc) if isinstance(exc, BedrockSparkError) else None
    return Ending(state, stage, Failure(type(exc).__name__, message))
