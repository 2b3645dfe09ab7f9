"""Progress in words: how much is done, how fast, how much time is left."""

from __future__ import annotations

from dataclasses import dataclass

from bedrock_spark.progress import CallCounts, Counts, Pace, Progress

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400


def counted(progress: Progress) -> str:
    """Return how much is done, such as `1,200/60,000 records (2%)`; "" if nothing is counted."""
    if progress.total is None:
        return f"{progress.done:,} {progress.unit}" if progress.done else ""
    if not progress.total:
        return "done"
    count = f"{progress.done:,}/{progress.total:,} {progress.unit}".rstrip()
    # Rounded down: 100% means that all is done.
    return f"{count} ({progress.done * 100 // progress.total}%)"


def paced(progress: Progress, pace: Pace) -> str:
    """Return rate and time left, such as `35/s, 28 min left`; "" if there is no rate."""
    rate, left = pace.per_second, pace.seconds_left(progress.total)
    if rate is None or progress.is_done:
        return ""
    return rate_text(rate) + (f", {time_left(left)} left" if left is not None else "")


def slots_text(counts: Counts | None) -> str:
    """Return the slots, such as `4 of 20 slots used`; "" if there are none."""
    if counts is None or not counts.slots:
        return ""
    return f"{counts.slots_used:,} of {counts.slots:,} slots used"


def limits_text(calls: CallCounts | None) -> str:
    """Return tokens and calls a minute, such as `12,300 of 200,000 tokens/min`; "" for none."""
    if calls is None:
        return ""
    parts = [_of_limit(calls.tokens_per_minute, calls.token_limit, "tokens/min")]
    if calls.call_limit is not None:
        parts.append(_of_limit(calls.calls_per_minute, calls.call_limit, "calls/min"))
    return ", ".join(filter(None, parts))


def _of_limit(used: int, limit: int | None, unit: str) -> str:
    if limit is None:
        return f"{used:,} {unit}" if used else ""
    return f"{used:,} of {limit:,} {unit}"


def money_text(counts: Counts | CallCounts | None) -> str:
    """Return the money, such as `$1.25 of $5.00 spent`; "" if no price is known."""
    if counts is None or counts.cost_usd is None:
        return ""
    of = f" of {_dollars(counts.budget_usd)}" if counts.budget_usd is not None else ""
    return f"{_dollars(counts.cost_usd)}{of} spent"


def _dollars(amount: float) -> str:
    return f"${amount:,.{2 if amount >= 1 or not amount else 4}f}"


def rate_text(per_second: float) -> str:
    """Return a rate with a unit in which it is at least one, if there is such a unit."""
    for seconds, unit in ((1, "s"), (_MINUTE, "min")):
        if per_second * seconds >= 1:
            return f"{per_second * seconds:,.0f}/{unit}"
    return f"{per_second * _HOUR:,.1f}/h"


def time_left(seconds: float) -> str:
    """Return a duration in the two units that matter, such as `2 h 5 min`."""
    if seconds < _MINUTE:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / _MINUTE)
    if minutes < 60:
        return f"{minutes} min"
    if seconds < _DAY:
        return f"{minutes // 60} h {minutes % 60} min"
    hours = round(seconds / _HOUR)
    return f"{hours // 24} d {hours % 24} h"


@dataclass(frozen=True)
class Part:
    """A bar below that of its stage. total: None or 0 if there is nothing to compare with."""

    name: str
    done: float
    total: float | None
    text: str


MONEY = "money"


def parts_of(progress: Progress) -> list[Part]:
    """Return what a stage has beside its own bar: shards, slots, limits and money, if any."""
    counts, calls = progress.counts, progress.calls
    parts = []
    if counts is not None:
        parts = [
            Part("shards", counts.settled, counts.shards, progress.detail),
            Part("slots", counts.slots_used, counts.slots, slots_text(counts)),
        ]
    if calls is not None:
        if calls.token_limit is None and calls.call_limit is not None:
            used, limit = calls.calls_per_minute, calls.call_limit
        else:
            used, limit = calls.tokens_per_minute, calls.token_limit or 0
        parts = [Part("limit", used, limit, limits_text(calls))]
    priced = counts or calls
    if priced is not None:
        cost = priced.cost_usd or 0.0
        parts.append(Part(MONEY, cost, priced.budget_usd, money_text(priced)))
    return [part for part in parts if part.text]
