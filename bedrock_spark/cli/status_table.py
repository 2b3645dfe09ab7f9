"""The status of a run as a table."""

from __future__ import annotations

from bedrock_spark.cli.closing_table import cost_row
from bedrock_spark.fanout import Status
from bedrock_spark.run_folder.ledger import BREAKER, NO_SLOTS, REFUSED, STOPPED_BY_USER
from bedrock_spark.screen import rate_text, time_left

# What blocks a run, by the kind of the hold in its ledger, in words.
_BLOCKED_BY = {
    STOPPED_BY_USER: "stopped",
    REFUSED: "AWS refuses its jobs",
    BREAKER: "its jobs answer nothing",
    NO_SLOTS: "the account allows no batch job",
    "budget": "its budget",
}


def status_table(status: Status) -> list[tuple[str, str]]:
    """Return names and values; the first is the stage, and what blocks the run."""
    rows = [("stage", _stage(status)), ("run", status.run_id)]
    rows.append(("controller", status.controller or "none: no process controls the run now"))
    if status.blocked is not None:
        rows.append(("blocked by", _BLOCKED_BY.get(status.blocked["by"], status.blocked["by"])))
        rows.append(("because", status.blocked["reason"]))
    if status.last_error is not None and not status.is_finished and not status.controller:
        error = status.last_error
        rows.append(("last error", f"{error.get('kind')}: {error.get('message') or 'no message'}"))
    rows += [("published", place) for place in status.published]
    if status.outcomes is not None:
        counts = (f"{count:,} {name}" for name, count in status.outcomes.items() if count)
        rows.append(("rows", ", ".join(counts) or "none"))
        if status.unanswered:
            rows.append(("unanswered", f"{status.unanswered:,} of them may still get an answer"))
    if status.shards:
        rows += _batch(status)
    rows += cost_row(status.cost, status.cost_lacks)
    if status.shards:
        rows += _prices(status)
    return rows + [("finding", f"{f['kind']}: {f['detail']}") for f in status.findings]


def _batch(status: Status) -> list[tuple[str, str]]:
    jobs = ", ".join(f"{count:,} {name}" for name, count in status.jobs.items()) or "none"
    done = f"{status.processed / status.records:.1%}" if status.records else "all"
    rows = [
        ("shards", f"{status.settled:,} of {status.shards:,} done, {status.waiting:,} waiting"),
        ("jobs", jobs),
        ("slots", f"{status.slots_used:,} used of {status.slots:,}"),
        ("records", f"{status.processed:,} of {status.records:,} processed ({done})"),
    ]
    if status.records_per_second:
        rows.append(("rate", rate_text(status.records_per_second)))
    if status.eta_seconds is not None:
        rows.append(("time left", f"{time_left(status.eta_seconds)} at this rate"))
    if status.outcomes is None and status.unanswered:
        of = "records of shards that are done; collect says how many are final errors"
        rows.append(("no answer", f"{status.unanswered:,} {of}"))
    used = f"{status.tokens['input']:,} in, {status.tokens['output']:,} out"
    rows.append(("tokens", f"{used}, by batch jobs"))
    return rows


def _prices(status: Status) -> list[tuple[str, str]]:
    known, unknown = status.prices["from"], status.prices["unknown"]
    rows = [("prices", "; ".join(known))] if known else []
    return rows + [("no price", text) for text in unknown]


def _stage(status: Status) -> str:
    if status.is_finished:
        return f"{status.stage}, finished"
    if status.blocked is not None:
        return f"{status.stage}, blocked by {_BLOCKED_BY.get(status.blocked['by'], 'a hold')}"
    return status.stage if status.controller else f"{status.stage}, not finished, nobody drives it"
