"""Compare what the jobs of a run do with what the plan says: cost, errors, answers cut off.

What is expected is what `plan` says of the prepared run: the intervals of tokens that its canary
measured, or without one those by rule of thumb. Both are computed from what the run folder has had
since before the first job, so every process on every machine expects the same.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from bedrock_spark.config import Config
from bedrock_spark.costs.tokens import Tokens, dollars
from bedrock_spark.costs.used import estimate_by, expected_of
from bedrock_spark.fanout.meter import JobSums, Meter, sums_of_job
from bedrock_spark.outputs.outcomes import ERROR, INVALID, MISSING, OK, REFUSED, TRUNCATED
from bedrock_spark.planning.tokens import input_tokens, output_tokens
from bedrock_spark.prices import RunPrices
from bedrock_spark.progress import Observer, Progress
from bedrock_spark.report import Report
from bedrock_spark.report.findings import (
    DRIFT_COST,
    DRIFT_ERRORS,
    DRIFT_TRUNCATED,
    drift_finding,
)
from bedrock_spark.report.gather import Known
from bedrock_spark.run_folder.canary_results import Canary
from bedrock_spark.run_folder.ledger import Job
from bedrock_spark.run_folder.manifest import RunManifest
from bedrock_spark.run_folder.run import Run

log = logging.getLogger(__name__)

# Of fewer records, nothing is said: a share of a few is a matter of chance.
LEAST_RECORDS = 100
# A share may be larger than the canary's by this: as much as results.max_errors allows by default.
_ALLOWED_SHARE = 0.05
_ASKED = (OK, ERROR, MISSING, INVALID, TRUNCATED, REFUSED)


@dataclass(frozen=True)
class Drift:
    """Something that is not as planned. kind: of the finding; records: those that it is about."""

    kind: str
    text: str
    records: int

    def as_finding(self) -> dict[str, Any]:
        """Return it as a finding of a report."""
        return drift_finding(self.kind, self.text, self.records)


def drifts_of(
    config: Config,
    prices: RunPrices,
    sums: JobSums,
    tries: Sequence[Canary],
    outcomes: Mapping[str, int] | None = None,
) -> Iterator[Drift]:
    """Yield what is not as planned.

    sums: over the jobs of the run; tries: of the canary, oldest first
    outcomes: rows by outcome; None before the rows are collected
    """
    canary = tries[-1] if tries else None
    yield from _cost(config, prices, sums, canary)
    yield from _errors(sums, canary)
    yield from _cut_off(outcomes or {}, canary)


def drifts_of_run(
    run: Run,
    manifest: RunManifest,
    jobs: Mapping[str, Job],
    tries: Sequence[Canary],
    outcomes: Mapping[str, int] | None = None,
) -> list[Drift]:
    """Return what is not as planned in a run, by all of its jobs."""
    shards = {shard.shard_id: shard for shard in manifest.shards}
    estimate = estimate_by(expected_of(run.config, run.prices, tries), manifest.shards)
    sums = JobSums()
    for job in jobs.values():
        sums += sums_of_job(job, estimate, run.prices, shards.get(job.shard_id))
    return list(drifts_of(run.config, run.prices, sums, tries, outcomes))


def drift_findings(run: Run, known: Known, report: Report) -> list[dict[str, Any]]:
    """Return a finding of a report for everything that is not as planned."""
    if known.manifest is None:
        return []
    found = drifts_of_run(run, known.manifest, known.state.jobs, known.tries, report.outcomes)
    return [drift.as_finding() for drift in found]


def new_drift_findings(run: Run, known: Known, report: Report) -> list[dict[str, Any]]:
    """Return the same as `drift_findings`; warn of those that the last report does not have.

    For commands that a scheduler repeats: each is a process of its own, and would warn again.
    """
    found = drift_findings(run, known, report)
    told = {finding["kind"] for finding in (known.last or {}).get("findings", ())}
    for finding in found:
        if finding["kind"] not in told:
            log.warning("not as planned: %s", finding["detail"])
    return found


def warning_of_drift(run: Run, meter: Meter, observe: Observer) -> Observer:
    """Return an observer that warns, too, once of each kind, if the jobs are not as planned.

    meter: of the jobs that are observed
    """
    warned: set[str] = set()

    def observe_both(progress: Progress) -> None:
        observe(progress)
        for drift in drifts_of(run.config, run.prices, meter.sums(), meter.tries):
            if drift.kind not in warned:
                warned.add(drift.kind)
                log.warning("not as planned: %s", drift.text)

    return observe_both


def _cost(
    config: Config, prices: RunPrices, sums: JobSums, canary: Canary | None
) -> Iterator[Drift]:
    if prices.batch is None or sums.counted.unpriced or sums.answered < LEAST_RECORDS:
        return
    i = input_tokens(sums.answered, sums.line_bytes, None, canary)
    o = output_tokens(sums.answered, config.request, canary, None)
    used, real = sums.counted.tokens, sums.counted.dollars
    # Each job was paid at the price of its own target, and so would be what was planned for it.
    at_highest = Tokens(used.input, used.output).cost(prices.batch)
    share = real / at_highest if at_highest else Decimal(1)
    least = Tokens(i.low, o.low).cost(prices.batch) * share
    most = None
    if i.high is not None and o.high is not None:
        most = Tokens(i.high, o.high).cost(prices.batch) * share
    is_less, is_more = real < least, most is not None and real > most
    if not is_less and not is_more:
        return
    if is_less:
        planned = f"at least {dollars(least)} was planned"
    else:
        assert most is not None
        planned = f"at most {dollars(most)} was planned"
    how = "as the canary had" if canary is not None and canary.answered else "by rule of thumb"
    yield Drift(
        DRIFT_COST,
        f"{sums.answered:,} answers of batch jobs have cost {dollars(real)}; {planned} ({how}). "
        f"An answer took {used.input / sums.answered:,.0f} input and "
        f"{used.output / sums.answered:,.0f} output tokens",
        sums.answered,
    )


def _errors(sums: JobSums, canary: Canary | None) -> Iterator[Drift]:
    if sums.ended < LEAST_RECORDS:
        return
    share = sums.errors / sums.ended
    planned = (canary.error_share or 0.0) if canary is not None else 0.0
    if share > planned + _ALLOWED_SHARE:
        yield Drift(
            DRIFT_ERRORS,
            f"{share:.1%} of {sums.ended:,} records of batch jobs that are over have no answer; "
            f"{_planned(planned, canary, 'records')}",
            sums.errors,
        )


def _cut_off(outcomes: Mapping[str, int], canary: Canary | None) -> Iterator[Drift]:
    asked = sum(outcomes.get(outcome, 0) for outcome in _ASKED)
    cut = outcomes.get(TRUNCATED, 0)
    if asked < LEAST_RECORDS:
        return
    planned = canary.truncated_share if canary is not None else 0.0
    if cut / asked > planned + _ALLOWED_SHARE:
        yield Drift(
            DRIFT_TRUNCATED,
            f"{cut / asked:.1%} of {asked:,} rows that were asked have an answer that is cut off "
            f"or empty; {_planned(planned, canary, 'answers')}",
            cut,
        )


def _planned(share: float, canary: Canary | None, what: str) -> str:
    if canary is None:
        return f"none was planned, and {_ALLOWED_SHARE:.0%} is allowed for"
    return (
        f"of the canary's {what} it was {share:.1%}, and {100 * _ALLOWED_SHARE:.0f} points more "
        "are allowed for"
    )
