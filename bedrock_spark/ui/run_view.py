"""The page of a run as named parts: a browser that watches a run gets those that have changed."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from flask import render_template, url_for
from markupsafe import Markup

from bedrock_spark.browse.errors import errors_in_report
from bedrock_spark.browse.jobs import JobsPage, jobs_page
from bedrock_spark.page import sections_of
from bedrock_spark.page.words import outcome_sentence
from bedrock_spark.ui.control import config_of, is_stage
from bedrock_spark.ui.live import GOES_ON, RESTS, LivePage
from bedrock_spark.ui.looks import Reading
from bedrock_spark.ui.pages.records import records_of
from bedrock_spark.ui.shared import Rendered, Shared

# The parts in the order of the page.
PARTS = (
    *("head", "control", "rows", "time", "jobs", "errors"),
    *("findings", "answers", "cost", "config"),
)
_JOBS_SHOWN = 10


def view_of(run_uri: str, reading: Reading, shared: Shared) -> LivePage:
    """Return the page of a run. What a reading alone shows is made once."""

    def rendered(known: Rendered | None) -> Rendered:
        is_same = known is not None and known.reading is reading
        return known if known and is_same else Rendered(reading, _parts_of(run_uri, reading))

    kept = shared.rendered.make(run_uri, rendered)
    control = _control(run_uri, reading, shared)
    parts = {name: control if name == "control" else kept.parts[name] for name in PARTS}
    title = f"{reading.run.run_id}: {outcome_sentence(reading.look.report)}"
    operation = shared.operations.of(run_uri)
    is_at_work = operation is not None and not operation.is_over
    seconds = GOES_ON if reading.look.goes_on or is_at_work else RESTS
    return LivePage(title, parts, seconds, reading.read_at)


def _parts_of(run_uri: str, reading: Reading) -> dict[str, Any]:
    report, config = reading.look.report, reading.run.config
    sections = sections_of(report, partial(_jobs_of, run_uri))
    known = reading.look.known
    jobs = None if known is None else _newest(jobs_page(known.state.jobs.values()))
    common = {"uri": run_uri, "report": report, "look": reading.look, "now": reading.standing}
    made = {
        "head": _render(
            "head", sentence=outcome_sentence(report), figures=sections["figures"], **common
        ),
        "jobs": _render("jobs", jobs=jobs, **common),
        "errors": _render(
            "errors", errors=errors_in_report(report, config), records_of=records_of, **common
        ),
    }
    return {**{name: sections[name] for name in PARTS if name in sections}, **made}


def _jobs_of(run_uri: str, shard: str) -> str:
    """Return the address of the jobs of a shard."""
    return url_for("runs.jobs.show_all", uri=run_uri, text=shard)


def _newest(page: JobsPage) -> JobsPage:
    return replace(page, jobs=page.jobs[:_JOBS_SHOWN])


def _control(run_uri: str, reading: Reading, shared: Shared) -> Markup:
    standing, operation = reading.standing, shared.operations.of(run_uri)
    is_free = reading.look.holder is None and (operation is None or operation.is_over)
    is_batch_left = standing.shards > 0 and not standing.is_batch_over
    may_go_on = is_free and is_batch_left and not standing.is_finished
    return _render(
        "control",
        uri=run_uri,
        look=reading.look,
        now=standing,
        operation=operation,
        config=config_of(run_uri, shared.settings),
        allow_control=shared.settings.allow_control,
        may_stop=reading.look.goes_on,
        may_go_on=may_go_on,
        needs_spark=not standing.is_finished and standing.is_batch_over,
        is_stage=may_go_on and is_stage(run_uri, shared.settings.aws),
    )


def _render(name: str, **values: Any) -> Markup:
    return Markup(render_template(f"run/{name}.html", **values))
