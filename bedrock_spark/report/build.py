"""Build the report of a run, write it, and prove that every row is accounted for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from bedrock_spark.config.shown import shown_config
from bedrock_spark.costs.fallback_paid import FallbackPaid, PaidUse
from bedrock_spark.costs.run_cost import RunCost, cost_so_far
from bedrock_spark.costs.tokens import Tokens
from bedrock_spark.errors import UnaccountedRowsError
from bedrock_spark.fanout import jobs_by_status
from bedrock_spark.report.findings import failed_jobs
from bedrock_spark.report.timeline import timeline_of
from bedrock_spark.report.totals import Totals
from bedrock_spark.report.values import Ending, Report
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.canary_results import Canary
from bedrock_spark.run_folder.ledger import Job
from bedrock_spark.run_folder.manifest import RunManifest
from bedrock_spark.run_folder.run import Run
from bedrock_spark.run_folder.run_file import versions_here

_UNITS_NAMED = 3


def build_report(
    run: Run,
    manifest: RunManifest | None,
    jobs: Mapping[str, Job],
    totals: Totals,
    seconds: Mapping[str, float],
    ending: Ending | None = None,
    tries: Sequence[Canary] = (),
    unit_hours: int = 0,
) -> Report:
    """Return the report of a run.

    manifest: None if prepare is not committed
    jobs: every batch job of the run by name
    totals: what collect found
    seconds: the duration of each stage
    tries: all tries of the canary, oldest first
    unit_hours: model units x hours that the fallback bought
    """
    ending, config = ending or Ending(), run.config
    fallback = config.fallback
    cost = saved = paid_tokens = None
    paid, unpriced = FallbackPaid(), list[str]()
    if manifest is not None:
        found = cost_so_far(run, manifest, jobs, tries, [totals.fallback_models], unit_hours)
        cost, unpriced, paid = found.as_json(), [*found.unpriced], found.fallback
        paid_tokens = {"input": found.tokens.input, "output": found.tokens.output}
        kept = totals.kept_tokens
        saved = _saved(run, found, manifest, cost, kept) if cost is not None else None
    return Report(
        run_id=run.run_id,
        run_uri=run.storage.uri,
        rows=manifest.rows if manifest else 0,
        records=manifest.records if manifest else 0,
        sharing=manifest.sharing if manifest else 0,
        outcomes=totals.outcomes,
        served_by=totals.served_by,
        unanswered=totals.unanswered,
        unfound=totals.unfound,
        reasons=totals.reasons,
        other_reasons=totals.other_reasons,
        stop_reasons=totals.stop_reasons,
        shards=len(manifest.shards) if manifest else 0,
        jobs=jobs_by_status(jobs),
        attempts=len(jobs),
        tokens=totals.tokens,
        paid_tokens=paid_tokens,
        fallback_tokens=totals.fallback_tokens,
        fallback_models=[_model_use(part) for part in paid.parts],
        manifest_totals=totals.manifest_totals,
        seconds=dict(seconds),
        findings=[*totals.findings, *failed_jobs(jobs)],
        published=totals.published,
        partial=totals.partial,
        canary=_canary(tries),
        cost=cost,
        unpriced=unpriced,
        timeline=timeline_of(
            jobs.values(), totals.asked, totals.fallback_tokens, ending.at or run.begun_at or 0.0
        ),
        latency=totals.latency,
        lengths=totals.lengths,
        labels=totals.labels,
        saved=saved,
        config=shown_config(config),
        versions=versions_here(),
        prices=run.prices,
        state=ending.state,
        stage=ending.stage,
        error=ending.error,
        started_at=run.begun_at,
        ended_at=ending.at,
        model_id=config.model.id,
        fallback_model_id=fallback.model_id if fallback is not None else None,
        region=run.aws.region,
        derived_from=run.derived_from.as_json() if run.derived_from is not None else None,
    )


def write_report(run: Run, report: Report) -> None:
    """Write report.json into the run folder."""
    data = msgspec.json.format(msgspec.json.encode(report.as_json()), indent=2) + b"\n"
    run.storage.write(layout.REPORT_FILE, data)


def check_complete(report: Report) -> None:
    """Raise UnaccountedRowsError if the rows of a unit are not those of the run manifest.

    A unit is a shard, or the rejected rows of a bucket. The message names the first units.
    """
    if report.is_complete:
        return
    rows = sum(report.outcomes.values())
    units = report.unaccounted_units
    counted = {name: count for name, count in report.outcomes.items() if count}
    named = "".join(f"; {u['shard_id']}: {u['detail']}" for u in units[:_UNITS_NAMED])
    more = len(units) - _UNITS_NAMED
    raise UnaccountedRowsError(
        f"{report.run_uri}: {report.rows} rows went in and {rows} came out ({counted})"
        f"{named}{f'; and {more} more units' if more > 0 else ''}; see the findings in report.json"
    )


def unique(findings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out a finding that was carried over and is found again."""
    # Mostly, the detail tells them apart: then nothing else is compared.
    first: dict[str, dict[str, Any]] = {}
    others: set[frozenset[tuple[str, Any]]] = set()
    found = []
    for finding in findings:
        same = first.get(finding["detail"])
        if same is None:
            first[finding["detail"]] = finding
        elif finding == same or (values := frozenset(finding.items())) in others:
            continue
        else:
            others.add(values)
        found.append(finding)
    return found


def _canary(tries: Sequence[Canary]) -> dict[str, int] | None:
    """Return the records of the last try by outcome, and the tokens of all tries."""
    if not tries:
        return None
    return {
        "asked": tries[-1].asked,
        "answered": tries[-1].answered,
        "refused": tries[-1].refused,
        "truncated": tries[-1].truncated,
        "declined": tries[-1].declined,
        "input_tokens": sum(each.input_tokens + each.probe_tokens[0] for each in tries),
        "output_tokens": sum(each.output_tokens + each.probe_tokens[1] for each in tries),
    }


def _model_use(part: PaidUse) -> dict[str, Any]:
    """Return what the answers of a model used and cost, as report.json has it."""
    cost = None if part.cost is None else round(float(part.cost), 4)
    return {**msgspec.structs.asdict(part.use), "cost_usd": cost}


def _saved(
    run: Run,
    found: RunCost,
    manifest: RunManifest,
    cost: Mapping[str, float],
    kept: Mapping[str, int],
) -> dict[str, float]:
    """Return the dollars that the run would have cost more, as far as prices are known.

    by_batch: if the batch jobs' tokens had been asked for on demand, at the standard tier
    by_sharing: if each row had a record of its own, at the average cost of a record so far
    by_keeping: if batch jobs had given the answers that the store had
    kept: the tokens of these answers
    """
    prices, saved = run.prices, {}
    batch, on_demand = found.dollars.batch, found.batch_on_demand
    if on_demand is not None and batch is not None and prices.batch is not None:
        saved["by_batch"] = round(float(on_demand - batch), 4)
    if manifest.sharing and manifest.records:
        answers = cost.get("batch", 0.0) + cost.get("fallback", 0.0)
        saved["by_sharing"] = round(answers * manifest.sharing / manifest.records, 4)
    if kept and prices.batch is not None:
        counts = (kept.get(name, 0) for name in ("input", "output"))
        of_cache = {name: kept.get(name, 0) for name in ("cache_read", "cache_write")}
        saved["by_keeping"] = round(float(Tokens(*counts, **of_cache).cost(prices.batch)), 4)
    return saved
