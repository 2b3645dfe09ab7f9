"""Make the page of a run from report.json."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from bedrock_spark.page import charts
from bedrock_spark.page.flow import ends_of, flow_of
from bedrock_spark.page.templating import environment, style
from bedrock_spark.page.words import (
    UNKNOWN,
    number,
    outcome_sentence,
    seconds_between,
    size_range,
    status_words,
)

# The widths of the two drawings of the flow; the style sheet shows the one that fits.
_WIDE, _NARROW = 880, 350
SECTIONS = ("figures", "rows", "time", "answers", "cost", "findings", "config")


@dataclass(frozen=True)
class Sample:
    """A record with its prompt and answer, for a page that was asked to show them."""

    record_id: str
    outcome: str
    request: str
    replies: tuple[str, ...]


@dataclass(frozen=True)
class Chart:
    """A chart, and the table with its numbers.

    legend: names and colors, if there are several
    shares: the length of a bar in each row of the table, in percent: then this is the chart
    """

    title: str
    note: str
    svg: Markup
    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    legend: tuple[tuple[str, str], ...] = ()
    shares: tuple[float, ...] = ()


def render(
    report: Mapping[str, Any],
    samples: Sequence[Sample] = (),
    refresh_seconds: int | None = None,
) -> str:
    """Return the page.

    report: as report.json holds it
    samples: records to show with prompts and answers
    refresh_seconds: how often a browser reads the page again, for a run that goes on
    """
    values = _values_of(report)
    return (
        environment()
        .get_template("page.html")
        .render(
            **values,
            shard_url=None,
            samples=samples,
            refresh_seconds=refresh_seconds,
            style=style("base.css") + style("report.css") + style("page.css"),
        )
    )


def sections_of(
    report: Mapping[str, Any], shard_url: Callable[[str], str] | None = None
) -> dict[str, Markup]:
    """Return the sections of the page by name, those of SECTIONS, for a page that has others, too.

    shard_url: returns the address of what is known of a shard; None for no links
    Their style sheets are base.css and report.css.
    """
    values = {**_values_of(report), "shard_url": shard_url}
    return {
        name: Markup(environment().get_template(f"sections/{name}.html").render(**values))
        for name in SECTIONS
    }


def _values_of(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the templates of the page and of its sections show."""
    timeline = report["timeline"]
    return {
        "report": report,
        "sentence": outcome_sentence(report),
        "ends": ends_of(report),
        "flows": [("wide", flow_of(report, _WIDE)), ("narrow", flow_of(report, _NARROW))],
        "seconds": seconds_between(report["started_at"], report["ended_at"]),
        "time_charts": [] if timeline is None else [*_time_charts(timeline)],
        "answer_charts": [*_answer_charts(report)],
        "groups": [*_token_groups(report)],
        "config": [*_flat(report["config"])],
        "prices": [*_flat({k: v for k, v in report["prices"].items() if v not in (None, [])})],
        "unpriced": report["unpriced"],
    }


def _time_charts(timeline: Mapping[str, Any]) -> Iterator[Chart]:
    per_row = timeline["slots_per_row"]
    if timeline["bars"]:
        statuses = dict.fromkeys(bar["status"] for bar in timeline["bars"])
        yield Chart(
            "Batch jobs",
            "Each bar is a job, in the lowest slot that was free"
            if all(bar["jobs"] == 1 and per_row == 1 for bar in timeline["bars"])
            else f"Each row is {per_row:,} slots; neighbouring jobs are drawn as one",
            Markup(charts.gantt("jobs", timeline)),
            ("slot", "begins", "ends", "status", "jobs", "shard", "attempt"),
            [_bar_row(bar, per_row) for bar in timeline["bars"]],
            tuple((status_words(s), charts.status_color(s)) for s in statuses),
        )
        yield _over_time("Slots in use", "The most at one time", timeline, {"slots": "slots"})
    yield _over_time(
        f"Records {_per(timeline)}",
        "Spread evenly over the time of their job",
        timeline,
        {"batch": "records.batch", "fallback": "records.fallback"},
    )
    yield _over_time(
        f"Tokens {_per(timeline)}",
        "Of batch jobs and of the fallback",
        timeline,
        {"input": "tokens.input", "output": "tokens.output"},
    )


def _per(timeline: Mapping[str, Any]) -> str:
    step = timeline["bin_seconds"]
    if step % 3_600 == 0:
        return "per hour" if step == 3_600 else f"per {step // 3_600} hours"
    if step % 60 == 0:
        return "per minute" if step == 60 else f"per {step // 60} minutes"
    return "per second" if step == 1 else f"per {step} seconds"


def _bar_row(bar: Mapping[str, Any], per_row: int) -> tuple[str, ...]:
    begins, ends = (f"{bar[side]:,g} s" for side in ("begins", "ends"))
    slot = str(bar["row"] * per_row + 1)
    shard, attempt = bar.get("shard_id", UNKNOWN), bar.get("attempt")
    return (
        slot,
        begins,
        ends,
        status_words(bar["status"]),
        number(bar["jobs"]),
        shard,
        number(attempt),
    )


def _over_time(
    title: str, note: str, timeline: Mapping[str, Any], paths: Mapping[str, str]
) -> Chart:
    """Return a chart of series of the timeline. paths: where each is, by its name."""
    series = {name: _at(timeline, path) for name, path in paths.items()}
    shown = {name: values for name, values in series.items() if any(values)} or series
    svg = charts.over_time(title, timeline, shown)
    times = charts.times(timeline)
    colors = ("var(--ok)", "var(--some)")
    rows = [
        (moment, *map(number, values))
        for moment, *values in zip(times, *series.values(), strict=True)
        if any(values)
    ]
    legend = tuple(zip(shown, colors, strict=False)) if len(series) > 1 else ()
    return Chart(title, note, Markup(svg), ("from", *series), rows, legend)


def _at(values: Mapping[str, Any], path: str) -> Sequence[int]:
    found: Any = values
    for name in path.split("."):
        found = found[name]
    numbers: Sequence[int] = found
    return numbers


def _answer_charts(report: Mapping[str, Any]) -> Iterator[Chart]:
    if report["lengths"]:
        yield _bins("Length of answers", "Output tokens of an answer", "rows", report["lengths"])
    for each in report["labels"]:
        values = [(v["value"], v["rows"]) for v in each["values"]]
        values += [("(other values)", each["others"])] if each["others"] else []
        yield _bars(f"Column {each['column']}", "Rows by value", each["column"], values)
    if report["fallback_latency"]:
        note = "Milliseconds from a call to its answer"
        yield _bins("Latency of the fallback", note, "calls", report["fallback_latency"])
    if report["stop_reasons"]:
        reasons = [*report["stop_reasons"].items()]
        yield _bars("Why answers ended", "Rows by the model's stop reason", "stop reason", reasons)


def _bins(title: str, note: str, unit: str, bins: Sequence[Mapping[str, Any]]) -> Chart:
    names = [f"{each['least']:,}" for each in bins]
    svg = charts.histogram(title, names, [each["count"] for each in bins])
    rows = [(size_range(each), number(each["count"])) for each in bins]
    return Chart(title, note, Markup(svg), (note.split()[0].lower(), unit), rows)


def _bars(title: str, note: str, head: str, values: Sequence[tuple[str, int]]) -> Chart:
    """Return a chart that is its table: a bar in each row."""
    most = max(1, *(rows for _, rows in values))
    shares = tuple(round(100 * rows / most, 1) for _, rows in values)
    rows = [(value, number(count)) for value, count in values]
    return Chart(title, note, Markup(), (head, "rows"), rows, shares=shares)


def _token_groups(report: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield groups of numbers, each with its name."""
    yield "Tokens of the answers in the results", report["tokens"]
    if report["paid_tokens"] is not None:
        yield "Tokens that the cost counts", report["paid_tokens"]
    yield "Tokens of all answers of the fallback", report["fallback_tokens"]
    for use in report["fallback_models"]:
        name = use["model_id"] or "a model that is not known"
        title = f"Fallback answers of {name}, {use['tier']} tier"
        yield title, {"answers": use["answers"], **use["tokens"]}
    yield "Tokens by the output manifests of all jobs", report["manifest_totals"]
    if report["canary"] is not None:
        yield "Canary", report["canary"]
    if report["jobs"]:
        yield "Batch jobs by status", {**report["jobs"], "in total": report["attempts"]}


def _flat(values: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield each value with its key path."""
    if isinstance(values, Mapping) and values:
        for name, value in values.items():
            yield from _flat(value, f"{prefix}.{name}" if prefix else str(name))
    elif isinstance(values, list) and any(isinstance(each, Mapping) for each in values):
        for place, value in enumerate(values):
            yield from _flat(value, f"{prefix}[{place}]")
    else:
        yield prefix, _text(values)


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return number(value) if isinstance(value, int) else str(value)
