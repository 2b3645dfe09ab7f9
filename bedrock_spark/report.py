"""The report of a run: rows by outcome, jobs, tokens, cost, and everything that does not fit."""

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
from bedrock_spark.outputs.reconciled_shard import ReconciledShard
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.canary_results import Canary
from bedrock_spark.run_folder.ledger import Job
from bedrock_spark.run_folder.manifest import RunManifest
from bedrock_spark.run_folder.run import Run


@dataclass(frozen=True)
class Report:
    """A finished run in numbers.

    rows: of the source; records: made of them
    sharing: rows that share the record of another row, because their bodies are equal
    outcomes: rows by outcome; served_by: ok rows by the side that answered, batch or fallback
    unanswered: rows without an answer that may still get one if the fallback asks again
    jobs: batch jobs by status; attempts: the number of batch jobs
    tokens: input and output tokens of the answers in the results
    seconds: the duration of each stage
    findings: everything that does not fit
    published: the place where the results were published; None if nowhere
    cost: dollars by the prices of the config; None without prices
    manifest_totals: tokens and images by the output manifests of all jobs
    canary: records by outcome in the last try of the canary, and the tokens of all tries; None
        without canary
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
        """Tell whether the outcomes add up to the rows of the source."""
        return self.rows == sum(self.outcomes.values())

    @property
    def permanent_errors(self) -> int:
        """Return the number of rows that were asked and will never have an answer."""
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
    reconciled: Iterable[ReconciledShard],
    seconds: Mapping[str, float],
    published: str | None = None,
    tries: Sequence[Canary] = (),
) -> Report:
    """Add up the reconciliations of all units.

    jobs: every batch job of the run by name
    seconds: the duration of each stage
    published: the place where the results were published, if they were
    tries: all tries of the canary, oldest first
    """
    units = list(reconciled)
    kinds = (OK, ERROR, MISSING, *((INVALID,) if run.config.results.parse else ()), REJECTED)
    findings = [*_shard_mismatches(manifest, units), *_shard_findings(units), *_failed_jobs(jobs)]
    return Report(
        run_id=run.run_id,
        run_uri=run.storage.uri,
        rows=manifest.rows,
        records=manifest.records,
        sharing=manifest.sharing,
        outcomes=_sum((unit.outcomes for unit in units), kinds),
        served_by=_sum((unit.served_by for unit in units), (BATCH, FALLBACK)),
        unanswered=sum(unit.unanswered for unit in units),
        shards=len(manifest.shards),
        jobs=jobs_by_status(jobs),
        attempts=len(jobs),
        tokens=_sum((unit.tokens for unit in units), ("input", "output")),
        seconds=dict(seconds),
        findings=findings,
        published=published,
        canary=_canary(tries),
        cost=_cost(run.config.prices, jobs, units, tries),
        manifest_totals=_sum(
            (unit.manifest_tokens for unit in units), ("input", "output", "images")
        ),
    )


def write_report(run: Run, report: Report) -> None:
    """Write report.json into the run folder."""
    data = json.dumps(report.as_json(), indent=2, ensure_ascii=False).encode() + b"\n"
    run.storage.write(layout.REPORT_FILE, data)


def check_complete(report: Report) -> None:
    """Raise UnaccountedRowsError if the outcomes do not add up to the rows of the source."""
    if not report.is_complete:
        rows = sum(report.outcomes.values())
        raise UnaccountedRowsError(
            f"{report.run_uri}: {report.rows} rows went in and {rows} came out "
            f"({report.outcomes}); see the findings in report.json"
        )


def fallback_finding(reason: str, rows: int) -> dict[str, Any]:
    """Return the finding that says why `rows` rows were left unanswered."""
    return {"kind": "fallback_ended", "shard_id": "", "detail": reason, "count": rows}


def unpublished_finding(reason: str) -> dict[str, Any]:
    """Return the finding that says why the results were not published yet."""
    return {"kind": "not_published", "shard_id": "", "detail": reason, "count": 1}


def _canary(tries: Sequence[Canary]) -> dict[str, int] | None:
    """Return the records of the last try by outcome, and the tokens of all tries."""
    if not tries:
        return None
    return {
        "asked": tries[-1].asked,
        "answered": tries[-1].answered,
        "refused": tries[-1].refused,
        "input_tokens": sum(each.input_tokens for each in tries),
        "output_tokens": sum(each.output_tokens for each in tries),
    }


def _cost(
    prices: PricesConfig,
    jobs: Mapping[str, Job],
    units: list[ReconciledShard],
    tries: Sequence[Canary],
) -> dict[str, float] | None:
    """Return the dollars for batch, fallback and canary, and in total; None without prices.

    They are rounded to hundredths of a cent. A part without a price is left out.
    """
    costs = spent(
        prices,
        batch_tokens(jobs.values()),
        fallback_tokens(unit.fallback_tokens for unit in units),
        canary_tokens(tries),
    )
    priced = {name: part for name, part in costs.parts().items() if part is not None}
    if not priced:
        return None
    return {name: round(float(part), 4) for name, part in {**priced, "total": costs.total}.items()}


def _sum(counts: Iterable[Mapping[str, int]], names: tuple[str, ...]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for count in counts:
        total.update(count)
    return {name: total[name] for name in names}


def _shard_findings(units: list[ReconciledShard]) -> list[dict[str, Any]]:
    return [finding.as_json() for unit in units for finding in unit.findings]


def _shard_mismatches(manifest: RunManifest, units: list[ReconciledShard]) -> list[dict[str, Any]]:
    """Compare the reconciled rows of every unit with the run manifest."""
    expected = {s.shard_id: s.rows for s in manifest.shards}
    expected |= {r.unit: r.rows for r in manifest.rejects}
    actual = {unit.unit: sum(unit.outcomes.values()) for unit in units}
    return [
        {
            "kind": "unaccounted_rows",
            "shard_id": unit,
            "detail": f"the run manifest has {rows} rows, the results have {actual.get(unit, 0)}",
            "count": abs(rows - actual.get(unit, 0)),
        }
        for unit, rows in sorted(expected.items())
        if actual.get(unit, 0) != rows
    ]


def _failed_jobs(jobs: Mapping[str, Job]) -> list[dict[str, Any]]:
    """Return a finding for each settled job that did not complete, with the service's message."""
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
