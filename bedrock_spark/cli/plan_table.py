"""A plan as lines of a name and a text."""

from __future__ import annotations

from collections.abc import Iterator

from bedrock_spark.costs.tokens import dollars
from bedrock_spark.planning.values import Count, Money, Plan
from bedrock_spark.prices.run_prices import plain

_REASONS_SHOWN = 5
_MEGABYTE, _GIGABYTE = 1e6, 1e9


def plan_table(plan: Plan) -> list[tuple[str, str]]:
    """Return the lines of a plan. A name that is empty goes on with the line above."""
    return [
        *_rows(plan),
        *_why(plan),
        *_jobs(plan),
        *_tokens(plan),
        *_costs(plan),
        *_was(plan),
        *_caveats(plan),
    ]


def closing_sentence(plan: Plan) -> str:
    """Return how the plan ends, in a sentence."""
    if not plan.pays:
        return "nothing was submitted; there is nothing left to ask, and nothing to pay for"
    records, left = plan.source.records, ""
    if plan.to_ask is None:
        left = "a collect counts what is left to ask; "
    elif plan.to_ask < records:
        left = f"{plan.to_ask:,} of {records:,} records have no answer yet; "
    if plan.cost is None:
        said = "the cost is not known, because a price is missing"
    else:
        said = f"{f'all {records:,} records' if left else 'a run'} would cost {_about(plan.cost)}"
    return f"nothing was submitted; {left}{said}"


def _about(cost: Money) -> str:
    return _interval(cost) if cost.likely is None else f"about {dollars(cost.likely)}"


def _rows(plan: Plan) -> Iterator[tuple[str, str]]:
    source, shards = plan.source, plan.shards
    parts = [f"{source.records:,} records"]
    if source.kept:
        parts.append(f"{source.kept:,} kept")
    if source.shared:
        verb = "shares" if source.shared == 1 else "share"
        parts.append(f"{source.shared:,} {verb} the record of an equal one")
    parts.append(f"{source.rejected:,} rejected")
    prepared = " (prepared already)" if plan.is_prepared else ""
    yield "rows", f"{source.rows:,}: {', '.join(parts)}{prepared}"
    for reason, count in list(source.reasons.items())[:_REASONS_SHOWN]:
        yield "", f"rejected: {reason}: {count:,}"
    if plan.is_prepared:
        yield "to ask", _to_ask(plan.to_ask)
    if shards.shards:
        size = _size(shards.bytes)
        records = f"{shards.least_records:,} to {shards.most_records:,} records"
        yield "shards", f"{shards.shards:,} of {records}, {size} in total"


def _to_ask(records: int | None) -> str:
    if records is None:
        return "what the batch jobs left; a collect counts it"
    if not records:
        return "nothing: no row waits for an answer"
    return f"{records:,} records have no answer yet"


def _why(plan: Plan) -> Iterator[tuple[str, str]]:
    for i, why in enumerate(plan.why):
        detail = f" ({why.detail})" if why.detail is not None else ""
        yield ("why" if i == 0 else ""), f"{why.rows:,} rows: {why.reason}{detail}"


def _was(plan: Plan) -> Iterator[tuple[str, str]]:
    """Yield the numbers of the last run, each beside the one of the plan."""
    was, source = plan.was, plan.source
    if was is None:
        return
    begun = f", begun {was.begun_at}" if was.begun_at is not None else ""
    yield "was / now", f"{was.run_uri} ({was.how}{begun}, {was.state})"
    pairs: dict[str, tuple[int | str, int | str]] = {
        "model": (was.model_id, plan.model_id),
        "rows": (was.rows, source.rows),
        "records": (was.records, source.records),
        "kept": (was.kept, source.kept),
        "rejected": (was.rejected, source.rejected),
        "shards": (was.shards, plan.shards.shards),
    }
    for name, (then, now) in pairs.items():
        is_shown = then != now if name == "model" else then or now
        if is_shown:
            yield f"  {name}", f"{_number(then)} / {_number(now)}"
    yield "  input", f"{_number(was.input_tokens)} / {_count(plan.input_tokens)} tokens"
    output = f"{plan.images:,} images" if plan.images else f"{_count(plan.output_tokens)} tokens"
    yield "  output", f"{_number(was.output_tokens)} / {output}"
    then_paid = "not known" if was.cost is None else dollars(was.cost)
    yield "  cost", f"{then_paid} / {'not known' if plan.cost is None else _money(plan.cost)}"
    for i, change in enumerate(was.changes):
        yield ("changed" if i == 0 else ""), change


def _number(value: int | str | None) -> str:
    if value is None:
        return "not known"
    return value if isinstance(value, str) else f"{value:,}"


def _size(number: int) -> str:
    if number >= _GIGABYTE:
        return f"{number / _GIGABYTE:,.1f} GB"
    return f"{number / _MEGABYTE:,.1f} MB"


def _jobs(plan: Plan) -> Iterator[tuple[str, str]]:
    jobs = plan.jobs
    if not plan.shards.shards:
        yield "jobs", "none: no record is asked"
        return
    if not jobs.jobs:
        yield "jobs", "none: every shard is too small for a batch job"
        return
    waves = "1 wave" if jobs.waves == 1 else f"{jobs.waves:,} waves"
    yield (
        "jobs",
        f"{jobs.jobs:,}, {jobs.at_once:,} at once ({jobs.at_once_from}): {waves}, each of at most "
        f"{jobs.longest_hours // jobs.waves} hours",
    )


def _tokens(plan: Plan) -> Iterator[tuple[str, str]]:
    yield "input", f"{_count(plan.input_tokens)} tokens; {plan.input_tokens.how}"
    if plan.images:
        yield "output", f"{plan.images:,} images"
    else:
        yield "output", f"{_count(plan.output_tokens)} tokens; {plan.output_tokens.how}"


def _count(count: Count) -> str:
    if count.low == count.likely == count.high:
        return f"{count.low:,}"
    interval = (
        f"{count.low:,} or more" if count.high is None else f"{count.low:,} to {count.high:,}"
    )
    return interval if count.likely is None else f"{count.likely:,} ({interval})"


def _costs(plan: Plan) -> Iterator[tuple[str, str]]:
    yield "cost", "not known" if plan.cost is None else f"{_money(plan.cost)} as configured"
    for way in plan.ways:
        yield f"  {way.way}", f"{_money(way.cost)} at {way.price}"
    if plan.model_unit_hour is not None:
        per_hour = plain(plan.model_unit_hour)
        yield "  provisioned", f"${per_hour} a model unit and hour, however much it answers"
    if plan.saved_by_sharing:
        yield "saved", f"{dollars(plan.saved_by_sharing)} by records that rows share"
    if plan.prices_from:
        yield "prices", "; ".join(plan.prices_from)


def _money(money: Money) -> str:
    if money.low == money.likely == money.high:
        return dollars(money.low)
    return (
        _interval(money)
        if money.likely is None
        else f"{dollars(money.likely)} ({_interval(money)})"
    )


def _interval(money: Money) -> str:
    low = dollars(money.low)
    return f"{low} or more" if money.high is None else f"{low} to {dollars(money.high)}"


def _caveats(plan: Plan) -> Iterator[tuple[str, str]]:
    for i, caveat in enumerate(plan.caveats):
        yield ("note" if i == 0 else ""), caveat
