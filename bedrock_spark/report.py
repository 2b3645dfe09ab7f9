"""The report: what went in, what came out, by what, and what does not fit."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bedrock_spark.config import PricesConfig
from bedrock_spark.costs.budget import batch_tokens, canary_tokens, fallback_tokens
from bedrock_spark.costs.tokens import spent
from bedrock_spark.errors import UnaccountedRowsError
from bedrock_spark.fanout import jobs_by_status
from bedrock_spark.outputs.reconcile import BATCH, ERROR, FALLBACK, INVALID, MISSING, OK, REJECTED
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.canary_results import Canary
from bedrock_spark.run_folder.ledger import Job
from bedrock_spark.run_folder.manifest import RunManifest
from bedrock_spark.run_folder.run import Run


@dataclass(frozen=True)
class Report:
    """A finished run in numbers.

    sharing: rows that were not asked, because the record of another asks the same
    unanswered: rows without an answer that may still get one, if the fallback asks again
    findings: things that do not fit; none is best
    cost: dollars by the prices of the config; None without prices
    manifest_totals: tokens and images, as the output manifests of all jobs count them
    canary: what became of the records that were asked beforehand; None where none were
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
    published: str | None = None
    canary: dict[str, int] | None = None
    cost: dict[str, float] | None = None
    manifest_totals: dict[str, int] = field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        """Tell whether every row is accounted for: each in exactly one outcome."""
        return self.rows == sum(self.outcomes.values())

    @property
    def permanent_errors(self) -> int:
        """Return how many rows will never have an answer, though they were asked."""
        unanswered = (self.outcomes.get(kind, 0) for kind in (ERROR, MISSING, INVALID))
        return sum(unanswered) - self.unanswered

    def as_json(self) -> dict[str, Any]:
        """Return the report as report.json holds it."""
        return {
            "run_id": self.run_id,
            "run_uri": self.run_uri,
            "rows": self.rows,
            "records": self.records,
            "rows_sharing_a_record": self.sharing,
            "outcomes": self.outcomes,
            "served_by": self.served_by,
            "unanswered": self.unanswered,
            "shards": self.shards,
            "canary": self.canary,
            "jobs": self.jobs,
            "attempts": self.attempts,
            "tokens": self.tokens,
            "manifest_totals": self.manifest_totals,
            "cost": self.cost,
            "seconds": {k: round(v, 2) for k, v in self.seconds.items()},
            "published": self.published,
            "findings": self.findings,
        }


def build_report(
    run: Run,
    manifest: RunManifest,
    jobs: Mapping[str, Job],
    reconciled: Iterable[Mapping[str, Any]],
    seconds: Mapping[str, float],
    published: str | None = None,
    tries: Sequence[Canary] = (),
) -> Report:
    """Add up the reconciliations of all units."""
    units = list(reconciled)
    kinds = (OK, ERROR, MISSING, *((INVALID,) if run.config.results.parse else ()), REJECTED)
    outcomes = _sum(units, "outcomes", kinds)
    findings = [*_shard_mismatches(manifest, units), *(f for u in units for f in u["findings"])]
    findings += _failed_jobs(jobs)
    return Report(
        run_id=run.run_id,
        run_uri=run.storage.uri,
        rows=manifest.rows,
        records=manifest.records,
        sharing=manifest.sharing,
        outcomes=outcomes,
        served_by=_sum(units, "served_by", (BATCH, FALLBACK)),
        unanswered=sum(u["unanswered"] for u in units),
        shards=len(manifest.shards),
        jobs=jobs_by_status(jobs),
        attempts=len(jobs),
        tokens=_sum(units, "tokens", ("input", "output")),
        seconds=dict(seconds),
        findings=findings,
        published=published,
        canary=_canary(tries),
        cost=_cost(run.config.prices, jobs, units, tries),
        manifest_totals=_sum(units, "manifest_tokens", ("input", "output", "images")),
    )


def write_report(run: Run, report: Report) -> None:
    """Put report.json into the run folder."""
    data = json.dumps(report.as_json(), indent=2, ensure_ascii=False).encode() + b"\n"
    run.storage.write(layout.REPORT_FILE, data)


def check_complete(report: Report) -> None:
    """Raise UnaccountedRowsError unless every row is in exactly one outcome."""
    if not report.is_complete:
        raise UnaccountedRowsError(
            f"{report.run_uri}: {report.rows} rows went in and "
            f"{sum(report.outcomes.values())} came out ({report.outcomes}); report.json says where"
        )


def fallback_finding(reason: str, rows: int) -> dict[str, Any]:
    """Say why stragglers were left."""
    return {"kind": "fallback_ended", "shard_id": "", "detail": reason, "count": rows}


def _canary(tries: Sequence[Canary]) -> dict[str, int] | None:
    """Return what the last try came to, and the tokens of all of them."""
    if not tries:
        return None
    return {
        "asked": tries[-1].asked,
        "answered": tries[-1].answered,
        "refused": tries[-1].refused,
        "input_tokens": sum(one.input_tokens for one in tries),
        "output_tokens": sum(one.output_tokens for one in tries),
    }


def _cost(
    prices: PricesConfig,
    jobs: Mapping[str, Job],
    units: list[Mapping[str, Any]],
    tries: Sequence[Canary],
) -> dict[str, float] | None:
    """Return dollars by who was asked, to the hundredth of a cent; None without prices."""
    found = spent(prices, batch_tokens(jobs.values()), fallback_tokens(units), canary_tokens(tries))
    priced = {name: part for name, part in found.parts().items() if part is not None}
    if not priced:
        return None
    return {name: round(float(part), 4) for name, part in {**priced, "total": found.total}.items()}


def _sum(units: list[Mapping[str, Any]], part: str, names: tuple[str, ...]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for unit in units:
        total.update(unit.get(part, {}))
    return {name: total[name] for name in names}


def _shard_mismatches(
    manifest: RunManifest, units: list[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Compare every shard's reconciled rows with the run manifest."""
    expected = {s.shard_id: s.rows for s in manifest.shards}
    expected |= {r.unit: r.rows for r in manifest.rejects}
    found = {u["unit"]: sum(u["outcomes"].values()) for u in units}
    return [
        {
            "kind": "unaccounted_rows",
            "shard_id": unit,
            "detail": f"the run manifest has {rows} rows, the results have {found.get(unit, 0)}",
            "count": abs(rows - found.get(unit, 0)),
        }
        for unit, rows in sorted(expected.items())
        if found.get(unit, 0) != rows
    ]


def _failed_jobs(jobs: Mapping[str, Job]) -> list[dict[str, Any]]:
    """List the jobs that did not end well, with the service's message."""
    return [
        {
            "kind": f"job_{job.seen.status.lower()}",
            "shard_id": job.shard_id,
            "detail": f"{job.seen.job_arn}: {job.seen.message or 'no message'}",
            "count": 1,
        }
        for job in jobs.values()
        if job.seen is not None and job.is_settled and job.seen.status != "Completed"
    ]
