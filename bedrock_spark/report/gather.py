"""Gather from the run folder what a report needs, and say in which state a command left the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bedrock_spark.errors import BedrockSparkError
from bedrock_spark.fanout import unsettled_shards
from bedrock_spark.garbage import garbage_collection_paused
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
    Report,
)
from bedrock_spark.run_folder.canary_results import Canary, read_tries
from bedrock_spark.run_folder.ledger import Ledger, LedgerState
from bedrock_spark.run_folder.manifest import RunManifest, read_manifest
from bedrock_spark.run_folder.purchases import PurchaseNote, read_purchases, unit_hours
from bedrock_spark.run_folder.report_file import read_report
from bedrock_spark.run_folder.report_shape import Failure
from bedrock_spark.run_folder.run import Run
from bedrock_spark.storage import calls_at_once


@dataclass(frozen=True)
class Known:
    """What the run folder says of a run.

    manifest: None if prepare is not committed
    last: the content of the last report, if it was read and there is one
    """

    manifest: RunManifest | None
    state: LedgerState
    purchases: Sequence[PurchaseNote]
    tries: Sequence[Canary]
    last: Mapping[str, Any] | None = None


def read_known(
    run: Run,
    manifest: RunManifest | None = None,
    state: LedgerState | None = None,
    *,
    with_last: bool = True,
) -> Known:
    """Read what a report needs, all at once.

    manifest, state: those that the caller has read
    with_last: whether to read the last report, too
    """
    storage = run.storage
    with calls_at_once(storage) as calls:
        manifests = calls.begin(lambda: manifest or read_manifest(storage))
        states = calls.begin(lambda: Ledger(storage).load() if state is None else state)
        purchases = calls.begin(read_purchases, storage)
        tries = calls.begin(read_tries, storage)
        last = calls.begin(lambda: read_report(storage, run.run_id) if with_last else None)
        prices = calls.begin(lambda: run.prices)  # it reads them once
    prices.result()
    return Known(
        manifests.result(), states.result(), purchases.result(), tries.result(), last.result()
    )


@garbage_collection_paused()
def gather_report(
    run: Run,
    known: Known,
    units: Sequence[ReconciledShard] | None,
    seconds: Mapping[str, float],
    ending: Ending,
    now: float,
) -> Report:
    """Return the report of a run as it stands.

    units: every reconciliation; None if this process did not collect: then what the last report
        says of the rows, and where they were published, still holds
    now: in seconds since the epoch
    """
    manifest, state, purchases = known.manifest, known.state, known.purchases
    if units is None or manifest is None:
        totals = last_totals(manifest, known.last)
    else:
        totals = totals_of(manifest, units, unsettled_shards(run.config, manifest, state))
    is_held = state.hold is not None and ending.state in (FAILED, UNFINISHED)
    if is_held:
        ending = replace(ending, state=HELD)
    report = build_report(
        *(run, manifest, state.jobs, totals, seconds, replace(ending, at=now)),
        tries=known.tries,
        unit_hours=unit_hours(purchases, now),
    )
    if report.timeline is not None:
        timeline = {**report.timeline, "allowed_slots": _allowed_slots(state)}
        report = replace(report, timeline=timeline)
    held = [held_finding(state.hold.reason)] if is_held and state.hold is not None else []
    findings = [*report.findings, *state.all_findings(), *purchase_findings(purchases), *held]
    return replace(report, findings=unique(findings))


def _allowed_slots(state: LedgerState) -> int | None:
    """Return how many jobs the targets allow at once, as far as is known; None if nothing is."""
    known = (slots for slots in state.slots.values() if "most" in slots)
    caps = [min(s["most"], s["most"] if s.get("learnt") is None else s["learnt"]) for s in known]
    return sum(caps) if caps else None


def ending_of(exc: BaseException, stage: str) -> Ending:
    """Return how a command ended that an error or Ctrl-C ended. Holds are added later."""
    state = INTERRUPTED if isinstance(exc, KeyboardInterrupt) else FAILED
    # Only our own messages are known to hold no value of a row.
    message = str(exc) if isinstance(exc, BedrockSparkError) else None
    return Ending(state, stage, Failure(type(exc).__name__, message))
