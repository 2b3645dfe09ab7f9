"""The runs below a prefix, page by page. The pages of one run are below it."""

from __future__ import annotations

from functools import partial
from typing import Any, cast

from flask import Blueprint, Flask, redirect, render_template, request, url_for
from markupsafe import Markup
from werkzeug.wrappers import Response as AnyResponse

from bedrock_spark.browse.run_index import ORDERS, RunsQuery
from bedrock_spark.ui.current import argument, number_argument, ui_settings
from bedrock_spark.ui.live import GOES_ON, RESTS, LivePage
from bedrock_spark.ui.pages import control, jobs, records, run
from bedrock_spark.ui.settings import Kind
from bedrock_spark.ui.shared import share, shared

page = Blueprint("runs", __name__)
page.record_once(lambda state: share(cast("Flask", state.app)))
for below in (run.page, jobs.page, records.page, control.page):
    page.register_blueprint(below)

# After how many seconds the list is asked for again while folders are read.
_SOON = 1
# The states in the order in which a user looks for them.
STATES = {
    "begun": "it has a run folder, and no command has ended yet",
    "unfinished": "a command has ended, and there is more to do",
    "held": "nothing more is submitted until somebody acts; the page of the run says why",
    "failed": "the last command ended with an error",
    "interrupted": "the last command was interrupted",
    "done": "nothing is left to do",
    "cleaning": "clean was killed while it deleted a part of the folder",
    "cleaned": "clean has deleted what a finished run no longer needs",
}


@page.get("/")
def show() -> str | AnyResponse:
    """Show the runs below the prefix of the query, or of the command line."""
    settings = ui_settings()
    prefix = request.args.get("prefix", "").strip()
    place = settings.place
    if not prefix and place is not None and place.kind is Kind.PREFIX:
        return redirect(url_for("runs.show", prefix=place.name))
    if not prefix and place is not None and place.kind is Kind.RUN:
        return redirect(url_for("runs.run.show", uri=place.name))
    if not prefix and place is not None and place.kind is Kind.CONFIG:
        return redirect(url_for("rows.show", config=place.name))
    query = _query()
    return render_template(
        "runs.html",
        prefix=prefix,
        query=query,
        view=_view(prefix, query) if prefix else None,
        states=STATES,
        orders=ORDERS,
    )


@page.get("/runs/now")
def now() -> AnyResponse:
    """Return the list of runs if it has changed, to the script of the page."""
    return _view(argument("prefix"), _query()).news()


def _query() -> RunsQuery:
    return RunsQuery(
        text=request.args.get("text", "").strip(),
        state=request.args.get("state", ""),
        order=request.args.get("sort") or ORDERS[0],
        page=number_argument("page", 1),
    )


def _view(prefix: str, query: RunsQuery) -> LivePage:
    found = shared().index_of(prefix).page(query)
    part = render_template(
        "run/list.html",
        prefix=prefix,
        found=found,
        short=partial(_below, prefix),
        page_url=partial(_page_url, prefix, query),
    )
    is_due = not found.is_complete and found.problem is None
    goes_on = any(shown.goes_on for shown in found.runs)
    seconds = _SOON if is_due else GOES_ON if goes_on else RESTS
    return LivePage("Runs", {"list": Markup(part)}, seconds, ui_settings().clock.now())


def _below(prefix: str, run_uri: str) -> str:
    """Return the URI of a run without the prefix that all on the page have."""
    start = f"{prefix.rstrip('/')}/"
    return run_uri.removeprefix(start) if run_uri != start else run_uri


def _page_url(prefix: str, query: RunsQuery, number: int) -> str:
    values: dict[str, Any] = {"prefix": prefix, "text": query.text, "state": query.state}
    used = {name: value for name, value in values.items() if value}
    return url_for("runs.show", **used, sort=query.order, page=number)
