"""The closing table of a run, and its closing line.

The lines from `rows in` on add up to it: each row of the source is in exactly one of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from bedrock_spark.costs.tokens import dollars
from bedrock_spark.model_check import ends_soon
from bedrock_spark.outputs.outcomes import (
    ERROR,
    INVALID,
    MISSING,
    OK,
    REFUSED,
    REJECTED,
    TRUNCATED,
    UNFOUND,
)
from bedrock_spark.outputs.record_outcome import BATCH, FALLBACK, KEPT
from bedrock_spark.outputs.row_limits import reason_text
from bedrock_spark.prices import price_rows
from bedrock_spark.prices.call_prices import STANDARD
from bedrock_spark.report import Report
from bedrock_spark.report.findings import NOT_PUBLISHED
from bedrock_spark.report.values import DONE
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.report_file import WAITING

# How many reasons and findings the screen shows; report.json has more.
_REASONS_SHOWN = _FINDINGS_SHOWN = 10
# The outcomes that have a line, and its words; those of ALWAYS also if no row has them.
OUTCOME_LINES = {
    ERROR: "errors",
    INVALID: "invalid answers",
    TRUNCATED: "truncated answers",
    REFUSED: "refusals",
    MISSING: "without an answer",
    UNFOUND: "answers not found",
    REJECTED: "rejected",
    WAITING: "waiting for a job",
}
_ALWAYS = (ERROR, REJECTED)


def row_lines(report: Report) -> list[tuple[str, int]]:
    """Return the lines that add up to the rows of the source, each with its number of rows."""
    outcomes, served_by = report.outcomes, report.served_by
    lines = [
        ("ok by batch", served_by.get(BATCH, 0)),
        ("ok by fallback", served_by.get(FALLBACK, 0)),
        ("ok, kept from earlier runs", served_by.get(KEPT, 0)),
        # Outcomes and sides are counted apart: what is ok by neither would be lost without a line.
        ("ok by others", outcomes.get(OK, 0) - sum(served_by.values())),
    ]
    known = {OK, *OUTCOME_LINES}
    for outcome in (*OUTCOME_LINES, *sorted(set(outcomes) - known)):
        lines.append((OUTCOME_LINES.get(outcome, outcome), outcomes.get(outcome, 0)))
    left = report.rows - sum(outcomes.values())
    lines.append(("not asked yet" if left >= 0 else "too many", left))
    always = {"ok by batch", "ok by fallback", *(OUTCOME_LINES[name] for name in _ALWAYS)}
    return [(name, rows) for name, rows in lines if rows or name in always]


def closing_table(report: Report) -> list[tuple[str, str]]:
    """Return the numbers of a run as names and values: the rows, the reasons, then the rest."""
    jobs = ", ".join(f"{count:,} {status}" for status, count in report.jobs.items()) or "none"
    seconds = ", ".join(f"{stage} {value:.1f}" for stage, value in report.seconds.items())
    rows = [("run", report.run_id), ("rows in", f"{report.rows:,}")]
    rows += [(f"  {name}", f"{count:,}") for name, count in row_lines(report)]
    rows += _reason_rows(report)
    if report.unanswered:
        rows.append(("unanswered", f"{report.unanswered:,} of these may still get an answer"))
    if report.sharing:
        share = report.sharing / (report.records + report.sharing)
        saved = f"{report.sharing:,} rows ({share:.0%}) share the answer of another row"
        rows.append(("saved by dedupe", saved))
    kept = report.served_by.get(KEPT, 0)
    if kept:
        saved_usd = (report.saved or {}).get("by_keeping")
        text = "" if saved_usd is None else f", which saves {_dollars(saved_usd)}"
        rows.append(("saved by answers", f"{kept:,} rows cost nothing: they were kept{text}"))
    if report.canary is not None:
        canary = report.canary
        text = f"{canary['answered']:,} of {canary['asked']:,} answered"
        for name in ("truncated", "declined"):
            if canary.get(name):
                text += f", {canary[name]:,} {name}"
        rows.append(("canary", text))
    rows += [
        ("shards", f"{report.shards:,}"),
        ("jobs", jobs),
        ("tokens", f"{report.tokens['input']:,} in, {report.tokens['output']:,} out"),
        *_fallback_rows(report),
        *cost_row(report.cost, report.unpriced),
        *price_rows(report.prices),
        ("seconds", seconds),
        ("run folder", report.run_uri),
    ]
    if report.derived_from is not None:
        rows.append(("rows of", report.derived_from["run_uri"]))
    rows += [("model ends", text) for text in ends_soon(report.models, report.ended_at or 0.0)]
    if report.published is not None:
        rows.append(("results", report.published))
    if report.partial is not None:
        rows.append(("partial results", report.partial))
    return rows + _finding_rows(report)


def closing_line(report: Report) -> str:
    """Return the sentence with which a command ends that went well."""
    if report.partial is not None:
        return f"the results so far are in {report.partial}; the finished ones were not touched"
    if report.state != DONE:
        waits = (f["detail"] for f in report.findings if f["kind"] == NOT_PUBLISHED)
        return f"more to do: {next(waits, 'rows are still to be answered')}; nothing is published"
    ok = report.outcomes.get(OK, 0)
    answered = f"{ok:,} of {report.rows:,} rows" if ok != report.rows else f"all {ok:,} rows"
    place = report.published or f"{report.run_uri}/{layout.RESULTS}"
    return f"done: {answered} answered; the results are in {place}"


def _fallback_rows(report: Report) -> list[tuple[str, str]]:
    """Return what each model and tier of the fallback used, if there are several."""
    uses = report.fallback_models
    if len(uses) < 2:
        return []
    rows = [("fallback by", f"{len(uses)} models and tiers")]
    for use in uses:
        name = use["model_id"] or "a model that is not known"
        name += "" if use["tier"] == STANDARD else f", {use['tier']} tier"
        tokens, cost = use["tokens"], use["cost_usd"]
        used = f"{tokens.get('input', 0):,} in, {tokens.get('output', 0):,} out"
        cost_text = "price not known" if cost is None else _dollars(cost)
        rows.append((f"  {name}", f"{use['answers']:,} answers, {used}, {cost_text}"))
    return rows


def cost_row(cost: Mapping[str, float] | None, unknown: Iterable[str]) -> list[tuple[str, str]]:
    """Return a row with the cost and its parts, no row without a cost.

    cost: dollars by part, and the `total`; unknown: what is not in it, in words
    """
    if cost is None:
        return []
    parts = [
        f"{_dollars(amount)} {name.replace('_', ' ')}"
        for name, amount in cost.items()
        if amount and name != "total"
    ]
    parts += [f"{name} not known" for name in unknown]
    whole = _dollars(cost["total"])
    return [("cost", f"{whole}: {', '.join(parts)}" if parts else whole)]


def _dollars(amount: float) -> str:
    return dollars(Decimal(str(amount)))


def _reason_rows(report: Report) -> list[tuple[str, str]]:
    """Return the commonest reasons why rows have no answer, each with its number of rows."""
    rows = [("reason", f"{r.count:,} x {reason_text(r)}") for r in report.reasons[:_REASONS_SHOWN]]
    others = report.other_reasons + sum(r.count for r in report.reasons[_REASONS_SHOWN:])
    return [*rows, ("", f"{others:,} x another reason")] if others else rows


def _finding_rows(report: Report) -> list[tuple[str, str]]:
    shown = report.findings[:_FINDINGS_SHOWN]
    rows = [("finding", _finding(f["kind"], f["shard_id"], f["detail"])) for f in shown]
    if len(report.findings) > len(shown):
        rows.append(("", f"and {len(report.findings) - len(shown):,} more in report.json"))
    return rows


def _finding(kind: str, shard_id: str, detail: str) -> str:
    return f"{kind} {shard_id}: {detail}" if shard_id else f"{kind}: {detail}"
