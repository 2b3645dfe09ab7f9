"""The numbers of a run as samples: the same for Prometheus and CloudWatch.

They come from the progress that the screen shows and from the report, so that no two places count.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from bedrock_spark.progress import CallCounts, Counts, Progress
from bedrock_spark.report import Report
from bedrock_spark.report.values import DONE, FAILED, HELD, INTERRUPTED, UNFINISHED

# The state of a run whose command is at work.
RUNNING = "running"
STATES = (RUNNING, DONE, UNFINISHED, HELD, FAILED, INTERRUPTED)
# Each metric: what it is, and its unit in CloudWatch.
METRICS: dict[str, tuple[str, str]] = {
    "stage_done": ("What the stage has done, in its unit.", "Count"),
    "stage_total": ("What the stage has to do, in its unit.", "Count"),
    "shards": ("Shards that batch jobs take.", "Count"),
    "shards_settled": ("Shards that need no more jobs.", "Count"),
    "shards_waiting": ("Shards that wait for a job.", "Count"),
    "jobs_active": ("Active batch jobs of the run.", "Count"),
    "slots_used": ("Active batch jobs under the quota, those of other runs included.", "Count"),
    "slots": ("Batch jobs that may be active at once.", "Count"),
    "input_tokens": ("Input tokens of batch jobs so far.", "Count"),
    "output_tokens": ("Output tokens of batch jobs so far.", "Count"),
    "records_ended": ("Records of batch jobs that are over.", "Count"),
    "records_without_answer": ("Those of them without an answer.", "Count"),
    "fallback_input_tokens": ("Input tokens of the fallback's round so far.", "Count"),
    "fallback_output_tokens": ("Output tokens of the fallback's round so far.", "Count"),
    "fallback_tokens_per_minute": ("Tokens of the fallback in the last minute.", "Count"),
    "fallback_token_limit": ("The most of them that the config allows.", "Count"),
    "fallback_calls_per_minute": ("Calls of the fallback in the last minute.", "Count"),
    "fallback_call_limit": ("The most of them that the config allows.", "Count"),
    "cost_dollars": ("What the run has cost so far, by its prices.", "None"),
    "budget_dollars": ("What the run may cost.", "None"),
    "rows": ("Rows by outcome, as the last report has them.", "Count"),
    "unanswered_rows": ("Rows that may still get an answer.", "Count"),
    "findings": ("Findings of the last report.", "Count"),
    "state": ("1 for the state of the run, 0 for the others.", "None"),
    "updated_timestamp_seconds": ("When these metrics were written.", "Seconds"),
}


@dataclass(frozen=True)
class Sample:
    """One number. name: of METRICS; labels: beside those that all metrics of the run have."""

    name: str
    value: float
    labels: dict[str, str] = field(default_factory=dict)


def samples_of_progress(progress: Progress) -> Iterator[Sample]:
    """Yield the numbers of a stage, and of batch jobs or calls if it has them."""
    labels = {"stage": progress.stage, "unit": progress.unit}
    yield Sample("stage_done", progress.done, labels)
    if progress.total is not None:
        yield Sample("stage_total", progress.total, labels)
    if progress.counts is not None:
        yield from _samples_of_counts(progress.counts)
    if progress.calls is not None:
        yield from _samples_of_calls(progress.calls)


def _samples_of_counts(counts: Counts) -> Iterator[Sample]:
    values: dict[str, float | None] = {
        "shards": counts.shards,
        "shards_settled": counts.settled,
        "shards_waiting": counts.waiting,
        "jobs_active": counts.active,
        "slots_used": counts.slots_used,
        "slots": counts.slots,
        "input_tokens": counts.input_tokens,
        "output_tokens": counts.output_tokens,
        "records_ended": counts.ended,
        "records_without_answer": counts.errors,
        "cost_dollars": counts.cost_usd,
        "budget_dollars": counts.budget_usd,
    }
    yield from _known(values)


def _samples_of_calls(calls: CallCounts) -> Iterator[Sample]:
    values: dict[str, float | None] = {
        "fallback_input_tokens": calls.input_tokens,
        "fallback_output_tokens": calls.output_tokens,
        "fallback_tokens_per_minute": calls.tokens_per_minute,
        "fallback_token_limit": calls.token_limit,
        "fallback_calls_per_minute": calls.calls_per_minute,
        "fallback_call_limit": calls.call_limit,
        "cost_dollars": calls.cost_usd,
        "budget_dollars": calls.budget_usd,
    }
    yield from _known(values)


def _known(values: Mapping[str, float | None]) -> Iterator[Sample]:
    for name, value in values.items():
        if value is not None:
            yield Sample(name, value)


def samples_of_report(report: Report) -> Iterator[Sample]:
    """Yield the numbers of a report."""
    for outcome, rows in report.outcomes.items():
        yield Sample("rows", rows, {"outcome": outcome})
    yield Sample("unanswered_rows", report.unanswered)
    yield Sample("findings", len(report.findings))
    yield from _known({"cost_dollars": report.whole_cost})


def samples_of_state(state: str) -> Iterator[Sample]:
    """Yield a sample for each state: 1 for that of the run."""
    for each in STATES:
        yield Sample("state", float(each == state), {"state": each})
