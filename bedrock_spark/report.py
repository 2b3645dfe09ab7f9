"""The report of a run: rows by outcome, jobs, tokens, cost, and everything that does not fit."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bedrock_spark.config import Config
from bedrock_spark.costs.tokens import spent
from bedrock_spark.costs.used import (
    batch_used,
    canary_used,
    estimate_by,
    expected_of,
    fallback_used,
)
from bedrock_spark.errors import UnaccountedRowsError
from bedrock_spark.fanout import jobs_by_status
from bedrock_spark.outputs.outcomes import ERROR, INVALID, MISSING, OK, REJECTED, UNFOUND
from bedrock_spark.outputs.reconcile import BATCH, FALLBACK
from bedrock_spark.outputs.reconciled_shard import ReconciledShard
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.canary_results import Canary
from bedrock_spark.run_folder.ledger import Job
from bedrock_spark.run_folder.manifest import RunManifest
from bedrock_spark.run_folder.purchases import PurchaseNote
from bedrock_spark.run_folder.run import Run

UNACCOUNTED = "unaccounted_rows"
_UNITS_NAMED = 3


@dataclass(frozen=True)
class Report:
    """A finished run in numbers.

    rows: of the source; records: made of them
    sharing: rows that share the record of another row, because their bodies are equal
    outcomes: rows by outcome; served_by: ok rows by the side that answered, batch or fallback
    stop_reasons: rows with an answer, by the word that the model gives
    unanswered: rows without an answer that may still get one if the fallback asks again
    unfound: rows that are not asked again because a job claims answers that were not found
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
    unfound: int = 0
    stop_reasons: dict[str, int] = field(default_factory=dict)
    published: str | None = None
    canary: dict[str, int] | None = None
    cost: dict[str, float] | None = None
    manifest_totals: dict[str, int] = field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        """Tell whether every unit has the rows of the run manifest, and no other unit exists.

        A sum over all units would not do: a row too many in one shard hides a lost row of another.
        """
        return self.rows == sum(self.outcomes.values()) and not self.unaccounted_units

    @property
    def unaccounted_units(self) -> list[dict[str, Any]]:
        """Return the findings of the units whose rows are not those of the run manifest."""
        return [finding for finding in self.findings if finding["kind"] == UNACCOUNTED]

    @property
    def permanent_errors(self) -> int:
        """Return the number of rows that were asked and will never have an answer."""
        kinds = (ERROR, MISSING, UNFOUND, INVALID)
        not_ok = sum(self.outcomes.get(kind, 0) for kind in kinds)
        return not_ok - self.unanswered - self.unfound

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
            "stop_reasons": self.stop_reasons,
            "unanswered": self.unanswered,
            "unfound": self.unfound,
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
    unit_hours: int = 0,
) -> Report:
    """Add up the reconciliations of all units.

    jobs: every batch job of the run by name
    seconds: the duration of each stage
    published: the place where the results were published, if they were
    tries: all tries of the canary, oldest first
    unit_hours: model units x hours that the fallback bought
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
        outcomes=_sum((unit.outcomes for unit in units), _with_unfound(kinds, units)),
        served_by=_sum((unit.served_by for unit in units), (BATCH, FALLBACK)),
        stop_reasons=_stop_reasons(units),
        unanswered=sum(unit.unanswered for unit in units),
        unfound=sum(unit.unfound for unit in units),
        shards=len(manifest.shards),
        jobs=jobs_by_status(jobs),
        attempts=len(jobs),
        tokens=_sum((unit.tokens for unit in units), ("input", "output")),
        seconds=dict(seconds),
        findings=findings,
        published=published,
        canary=_canary(tries),
        cost=_cost(run.config, manifest, jobs, units, tries, unit_hours),
        manifest_totals=_sum(
            (unit.manifest_tokens for unit in units), ("input", "output", "images")
        ),
    )


def write_report(run: Run, report: Report) -> None:
    """Write report.json into the run folder."""
    data = json.dumps(report.as_json(), indent=2, ensure_ascii=False).encode() + b"\n"
    run.storage.write(layout.REPORT_FILE, data)


def check_complete(report: Report) -> None:
    """Raise UnaccountedRowsError if the rows of a unit are not those of the run manifest.

    A unit is a shard, or the rejected rows of a bucket. The message names the first units.
    """
    if report.is_complete:
        return
    rows = sum(report.outcomes.values())
    units = report.unaccounted_units
    named = "".join(f"; {u['shard_id']}: {u['detail']}" for u in units[:_UNITS_NAMED])
    more = len(units) - _UNITS_NAMED
    raise UnaccountedRowsError(
        f"{report.run_uri}: {report.rows} rows went in and {rows} came out ({report.outcomes})"
        f"{named}{f'; and {more} more units' if more > 0 else ''}; see the findings in report.json"
    )


def purchase_findings(purchases: Iterable[PurchaseNote]) -> list[dict[str, Any]]:
    """Return a finding for each purchase of model units that may bill."""
    return [
        {
            "kind": "model_units_may_bill",
            "shard_id": "",
            "detail": f"{note.model_units} model units named {note.name} are not known to be "
            "deleted; run bedrock-spark stop, which looks for them and deletes them",
            "count": note.model_units,
        }
        for note in purchases
        if note.may_bill
    ]


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
    config: Config,
    manifest: RunManifest,
    jobs: Mapping[str, Job],
    units: list[ReconciledShard],
    tries: Sequence[Canary],
    unit_hours: int,
) -> dict[str, float] | None:
    """Return the dollars for batch, fallback, canary and model units, and in total, if any.

    They are rounded to hundredths of a cent. A part without a price is left out.
    """
    expected = expected_of(config, tries)
    costs = spent(
        config.prices,
        batch_used(jobs.values(), estimate_by(expected, manifest.shards)),
        fallback_used((unit.fallback_tokens for unit in units), expected, manifest),
        canary_used(tries, expected),
        unit_hours,
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


def _stop_reasons(units: Iterable[ReconciledShard]) -> dict[str, int]:
    """Add up the rows by stop reason, the most frequent first."""
    total: Counter[str] = Counter()
    for unit in units:
        total.update(unit.stop_reasons)
    return dict(total.most_common())


def _with_unfound(kinds: tuple[str, ...], units: Iterable[ReconciledShard]) -> tuple[str, ...]:
    """Return the outcomes to report; `unfound` is one of them only if a row has it."""
    return (*kinds, UNFOUND) if any(unit.outcomes.get(UNFOUND) for unit in units) else kinds


def _shard_findings(units: list[ReconciledShard]) -> list[dict[str, Any]]:
    return [finding.as_json() for unit in units for finding in unit.findings]


def _shard_mismatches(manifest: RunManifest, units: list[ReconciledShard]) -> list[dict[str, Any]]:
    """Compare every unit with the run manifest: its rows, and that it is there exactly once."""
    expected = {s.shard_id: s.rows for s in manifest.shards}
    expected |= {r.unit: r.rows for r in manifest.rejects}
    times = Counter(unit.unit for unit in units)
    actual: Counter[str] = Counter()
    for unit in units:
        actual[unit.unit] += sum(unit.outcomes.values())
    return [
        {"kind": UNACCOUNTED, "shard_id": name, "detail": detail, "count": count}
        for name in sorted(expected.keys() | actual.keys())
        for detail, count in _mismatch(expected.get(name), actual[name], times[name])
    ]


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
