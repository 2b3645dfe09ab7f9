"""The batch jobs and the fallback over time, in at most BINS bins, however many jobs there are.

Each job is drawn in the lowest slot that is free when it begins: greedy interval partitioning
(https://en.wikipedia.org/wiki/Interval_scheduling#Interval_Partitioning). So the number of rows is
the number of slots that were used at once. If there are too many jobs or slots to draw each of
them, jobs of neighbouring slots and bins are drawn as one bar.
"""

from __future__ import annotations

import datetime as dt
import heapq
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from operator import attrgetter
from typing import Any, Literal, NamedTuple

import msgspec

from bedrock_spark.aws.batch_jobs import (
    COMPLETED,
    EXPIRED,
    FAILED,
    PARTIALLY_COMPLETED,
    STOPPED,
)
from bedrock_spark.clock import iso_time
from bedrock_spark.report.binned import Bins, step_for
from bedrock_spark.run_folder.ledger import Job, JobTokens

# A report stays small: this many bins in time, bars of single jobs, and rows of bars.
BINS, EXACT_BARS, ROWS = 96, 200, 40
# What a bar of several jobs shows: the first of these that one of its jobs has.
_WORST_FIRST = (FAILED, EXPIRED, PARTIALLY_COMPLETED, STOPPED, "active", COMPLETED)
ACTIVE = "active"
# Clocks differ by minutes at most. A job may also be created long after it was announced.
_CLOCK_SECONDS = 3_600.0
_NO_TOKENS = JobTokens(0, 0)


class Span(msgspec.Struct, frozen=True, gc=False):
    """A job in time, in seconds since the epoch: as the service says, unless its clock is another.

    status: as the service shows it, or `active`; records: with an answer or an error
    """

    begins: float
    ends: float
    status: str
    job: Job
    records: int
    tokens: JobTokens


class Asked(NamedTuple):
    """How many records the fallback answered from a time to a time, in seconds since the epoch."""

    begins: float
    ends: float
    records: float


def asked_by_minute(minutes: Mapping[str, int]) -> list[Asked]:
    """Return the answers of the fallback by the minute since the epoch, in the order of time."""
    return [Asked(60.0 * int(m), 60.0 * int(m) + 60, minutes[m]) for m in sorted(minutes, key=int)]


def asked_before(timeline: Mapping[str, Any] | None) -> list[Asked]:
    """Return the answers of the fallback in the timeline of an earlier report."""
    if timeline is None:
        return []
    begins = dt.datetime.fromisoformat(timeline["begins_at"]).timestamp()
    step = timeline["bin_seconds"]
    return [
        Asked(begins + place * step, begins + (place + 1) * step, records)
        for place, records in enumerate(timeline["records"]["fallback"])
        if records
    ]


def timeline_of(
    jobs: Iterable[Job],
    fallback: Sequence[Asked],
    fallback_tokens: Mapping[str, int],
    now: float,
) -> dict[str, Any] | None:
    """Return jobs, slots, records and tokens over time; None if nothing was asked.

    fallback: how many records it answered, in the order of time
    fallback_tokens: `input` and `output` tokens of all its answers
    now: where the bar of an active job ends, in seconds since the epoch
    Records and tokens of a job are spread evenly over its time, tokens of the fallback evenly over
    its records: nothing says when a record was answered.
    """
    spans = _spans(list(jobs), now)
    starts = [span.begins for span in spans] + [each.begins for each in fallback]
    ends = [span.ends for span in spans] + [each.ends for each in fallback]
    if not starts:
        return None
    bins = Bins.covering(min(starts), max(ends), step_for(max(ends) - min(starts), BINS))
    lanes = _lanes(spans)
    slots = max(lanes, default=-1) + 1
    answers = max(1, sum(each.records for each in fallback))

    def tokens(side: Literal["input", "output"]) -> list[int]:
        each, own = fallback_tokens.get(side, 0) / answers, attrgetter(side)
        batch = ((s.begins, s.ends, own(s.tokens)) for s in spans)
        return bins.sums([*batch, *((a.begins, a.ends, a.records * each) for a in fallback)])

    return {
        "begins_at": iso_time(bins.begins),
        "bin_seconds": bins.step,
        "slots": bins.peaks((span.begins, span.ends) for span in spans),
        "most_slots": slots,
        "records": {
            "batch": bins.sums((s.begins, s.ends, s.records) for s in spans),
            "fallback": bins.sums(fallback),
        },
        "tokens": {"input": tokens("input"), "output": tokens("output")},
        **_bars(spans, lanes, slots, bins),
    }


def _spans(jobs: Sequence[Job], now: float) -> list[Span]:
    """Return the jobs that began, in the order in which they did."""
    spans = [_span(job, now) for job in jobs if job.seen is not None]
    return sorted(spans, key=lambda span: (span.begins, span.ends, span.job.job_name))


def _has_other_clock(job: Job, submitted_at: float) -> bool:
    """Tell whether the service's clock is not ours: that of a local Bedrock may run faster."""
    own = [at for at in (job.announced_at, job.known_at) if at is not None]
    return bool(own) and min(abs(submitted_at - at) for at in own) > _CLOCK_SECONDS


def _span(job: Job, latest: float) -> Span:
    seen = job.seen
    assert seen is not None
    ours = job.known_at or job.announced_at
    if seen.submitted_at is None or _has_other_clock(job, seen.submitted_at):
        begins, ends = ours or latest, job.settled_at
    else:
        begins, ends = seen.submitted_at, seen.ended_at or job.settled_at
    ends = ends if job.is_settled else latest
    records = seen.processed or (seen.succeeded or 0) + (seen.failed or 0)
    status = seen.status if job.is_settled else ACTIVE
    # A job that ended when it began takes its slot, too.
    ends = max(math.nextafter(begins, math.inf), ends or begins)
    return Span(begins, ends, status, job, records, job.tokens or _NO_TOKENS)


def _lanes(spans: Sequence[Span]) -> list[int]:
    """Return the slot of each span, from 0: the lowest one that is free. They are in order."""
    lanes, free = [], list[int]()
    busy: list[tuple[float, int]] = []
    for span in spans:
        while busy and busy[0][0] <= span.begins:
            heapq.heappush(free, heapq.heappop(busy)[1])
        lane = heapq.heappop(free) if free else len(busy)
        heapq.heappush(busy, (span.ends, lane))
        lanes.append(lane)
    return lanes


def _bars(spans: Sequence[Span], lanes: Sequence[int], slots: int, bins: Bins) -> dict[str, Any]:
    """Return the bars: one a job, or if there are too many, one for jobs beside each other.

    Each has its `row`, from 0, when it begins and ends in seconds since `begins_at`, the worst
    `status` of its jobs, and how many `jobs` begin in it; that of one job names it.
    """
    if len(spans) <= EXACT_BARS and slots <= ROWS:
        return {"slots_per_row": 1, "bars": [*map(_bar, spans, lanes, [bins.begins] * len(spans))]}
    per_row = -(-slots // ROWS)
    rank = {status: place for place, status in enumerate(_WORST_FIRST)}
    rows = -(-slots // per_row)
    begun = [[0] * bins.count for _ in range(rows)]
    # By row, rank and bin: how many more jobs are there than in the bin before.
    changes = [[[0] * (bins.count + 1) for _ in _WORST_FIRST] for _ in range(rows)]
    for span, lane in zip(spans, lanes, strict=True):
        row, first, last = lane // per_row, bins.index(span.begins), bins.index(span.ends)
        begun[row][first] += 1
        change = changes[row][rank.get(span.status, rank[ACTIVE])]
        change[first] += 1
        change[last + 1] -= 1
    bars: list[dict[str, Any]] = []
    for row, place, worst in _worst(changes):
        begins, status = place * bins.step, _WORST_FIRST[worst]
        last_bar = bars[-1] if bars else {}
        if (last_bar.get("row"), last_bar.get("ends"), last_bar.get("status")) != (
            *(row, begins, status),
        ):
            bars.append({"row": row, "begins": begins, "ends": 0, "status": status, "jobs": 0})
        bars[-1]["ends"] = begins + bins.step
        bars[-1]["jobs"] += begun[row][place]
    return {"slots_per_row": per_row, "bars": bars}


def _worst(changes: Sequence[Sequence[Sequence[int]]]) -> Iterator[tuple[int, int, int]]:
    """Yield each row and bin that has a job, and the worst rank of its jobs.

    changes: by row, rank and bin, how many more jobs there are than in the bin before
    """
    for row, by_rank in enumerate(changes):
        counts = zip(*(accumulate(change[:-1]) for change in by_rank), strict=True)
        for place, jobs in enumerate(counts):
            if any(jobs):
                yield row, place, next(rank for rank, count in enumerate(jobs) if count)


def _bar(span: Span, lane: int, begins: float) -> dict[str, Any]:
    return {
        "row": lane,
        "begins": round(span.begins - begins, 1),
        "ends": round(span.ends - begins, 1),
        "status": span.status,
        "jobs": 1,
        "shard_id": span.job.shard_id,
        "attempt": span.job.attempt,
    }
