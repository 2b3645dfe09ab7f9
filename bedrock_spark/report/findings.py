"""The findings of a report: everything that does not fit, each as a kind, shard, detail, count."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bedrock_spark.report.values import UNACCOUNTED
from bedrock_spark.run_folder.ledger import Job
from bedrock_spark.run_folder.manifest import RunManifest
from bedrock_spark.run_folder.purchases import PurchaseNote

NOT_PUBLISHED, FALLBACK_ENDED, ON_HOLD = "not_published", "fallback_ended", "held"
MAY_BILL, SOURCE_CHANGED = "model_units_may_bill", "source_changed"
DRIFT_COST, DRIFT_ERRORS, DRIFT_TRUNCATED = "drift_cost", "drift_errors", "drift_truncated"
# What holds only when the report is written: the next report does not carry it over.
OF_THE_MOMENT = (
    *(NOT_PUBLISHED, FALLBACK_ENDED, ON_HOLD, MAY_BILL, UNACCOUNTED),
    *(SOURCE_CHANGED, DRIFT_COST, DRIFT_ERRORS, DRIFT_TRUNCATED),
)


def purchase_findings(purchases: Iterable[PurchaseNote]) -> list[dict[str, Any]]:
    """Return a finding for each purchase of model units that may bill."""
    return [
        _finding(
            MAY_BILL,
            f"{note.model_units} model units named {note.name} are not known to be "
            "deleted; run bedrock-spark stop, which looks for them and deletes them",
            count=note.model_units,
        )
        for note in purchases
        if note.may_bill
    ]


def fallback_finding(reason: str, rows: int) -> dict[str, Any]:
    """Return the finding that says why `rows` rows were left unanswered."""
    return _finding(FALLBACK_ENDED, reason, count=rows)


def unpublished_finding(reason: str) -> dict[str, Any]:
    """Return the finding that says why the results were not published yet."""
    return _finding(NOT_PUBLISHED, reason)


def changed_source_finding(change: str) -> dict[str, Any]:
    """Return the finding that the source is not the one that prepare has read."""
    return _finding(
        SOURCE_CHANGED,
        f"the source has changed since prepare ({change}). The run has the rows as they were; to "
        "ask the others, use a new run_uri",
    )


def held_finding(reason: str) -> dict[str, Any]:
    """Return the finding that says why nothing more is submitted until a person acts."""
    return _finding(ON_HOLD, reason)


def shard_mismatches(
    manifest: RunManifest, counted: Sequence[tuple[str, int]]
) -> list[dict[str, Any]]:
    """Compare every unit with the run manifest: its rows, and that it is there exactly once.

    counted: each unit that was reconciled, with the number of its rows that have an outcome
    """
    left = _rows_by_unit(manifest)
    # The rows of each unit that does not fit, or was there before: mostly none.
    others: dict[str, list[int]] = {}
    for name, rows in counted:
        if left.get(name) == rows:
            del left[name]
        else:
            others.setdefault(name, []).append(rows)
    if not left and not others:
        return []
    expected, findings = _rows_by_unit(manifest), []
    for name in sorted(left.keys() | others.keys()):
        has_fit = name in expected and name not in left
        found = [*others.get(name, ()), *([expected[name]] if has_fit else ())]
        for detail, count in _mismatch(expected.get(name), sum(found), len(found)):
            findings.append(_finding(UNACCOUNTED, detail, name, count))
    return findings


def _rows_by_unit(manifest: RunManifest) -> dict[str, int]:
    """Return the rows of every unit of a run, by its name."""
    rows = {s.shard_id: s.rows for s in manifest.shards}
    rows |= {r.unit: r.rows for r in manifest.rejects}
    return rows | {k.unit: k.rows for k in manifest.kept}


def _mismatch(expected: int | None, actual: int, times: int) -> list[tuple[str, int]]:
    """Return what is wrong with a unit and by how many rows, or nothing.

    expected: its rows in the run manifest, None if it is not there; actual: in the results
    times: how often it was reconciled
    """
    if expected is None:
        return [(f"is not in the run manifest, the results have {actual} rows of it", actual)]
    if not times:
        return [(f"the run manifest has {expected} rows, the results lack them all", expected)]
    if times > 1:
        return [(f"was reconciled {times} times", abs(expected - actual))]
    if expected != actual:
        detail = f"the run manifest has {expected} rows, the results have {actual}"
        return [(detail, abs(expected - actual))]
    return []


def failed_jobs(jobs: Mapping[str, Job]) -> list[dict[str, Any]]:
    """Return a finding for each settled job that did not complete, with the service's message."""
    return [
        _finding(
            f"job_{job.seen.status.lower()}",
            f"{job.seen.job_arn}: {job.seen.message or 'no message'}",
            job.shard_id,
        )
        for job in jobs.values()
        if job.seen is not None and job.is_settled and job.seen.status != "Completed"
    ]


def drift_finding(kind: str, detail: str, count: int) -> dict[str, Any]:
    """Return the finding that something is not as planned."""
    return _finding(kind, detail, count=count)


def _finding(kind: str, detail: str, shard_id: str = "", count: int = 1) -> dict[str, Any]:
    return {"kind": kind, "shard_id": shard_id, "detail": detail, "count": count}
