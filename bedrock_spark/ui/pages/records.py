"""The rows of a run, filtered and page by page; one record; what is filtered, for elsewhere."""

from __future__ import annotations

from functools import partial
from itertools import chain

from flask import Blueprint, Response, redirect, render_template, request, url_for
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response as AnyResponse

from bedrock_spark.browse.errors import Group, all_errors
from bedrock_spark.browse.export import csv_of, schema_of, source_of
from bedrock_spark.browse.keys import id_of_key
from bedrock_spark.browse.opened_runs import OpenedRun
from bedrock_spark.browse.record import ShownRecord, show_place, show_record
from bedrock_spark.browse.row_filter import WITHOUT_REASON, ErrorGroup
from bedrock_spark.browse.row_pages import PAGE_ROWS, read_page
from bedrock_spark.browse.row_query import RowQuery, read_query
from bedrock_spark.browse.row_sets import read_set
from bedrock_spark.browse.unit_file import Place
from bedrock_spark.errors import ConfigError, RunFolderError
from bedrock_spark.page.words import OUTCOMES
from bedrock_spark.shards.buckets import is_record_id
from bedrock_spark.ui.current import argument, number_argument, run_argument
from bedrock_spark.ui.record_view import pairs_of, pretty, shown_replies
from bedrock_spark.ui.rows_view import how_found, shown_rows
from bedrock_spark.ui.shared import shared

page = Blueprint("records", __name__)

# The groups of errors and the labels that the form lists.
_MOST_LISTED = 50
# How many groups of errors a page has.
_GROUPS_SHOWN = 50


@page.get("/run/records")
def show() -> str:
    """Show a page of the rows that fit a filter."""
    uri, query = run_argument(), _query()
    opened = shared().opened.soon(uri)
    if opened is None:
        return _opening(uri)
    schema = schema_of(opened)
    wanted = query.wanted
    if query.is_set:
        chosen = read_set(opened, wanted, unit=query.unit, order=query.order, first=query.first)
        rows, columns, problems = chosen.rows, chosen.columns, chosen.problems
        sentence = how_found(opened, query, chosen)
        has_more = query.first + len(rows) < chosen.found
        following = query.after(query.first + PAGE_ROWS) if has_more else None
        is_cut = False
    else:
        found = read_page(opened, wanted, query.start, unit=query.unit)
        rows, columns, problems = found.rows, found.columns, found.problems
        sentence = how_found(opened, query, found)
        following = query.at(found.next) if found.next is not None else None
        is_cut = found.is_cut
    names, shown = shown_rows(opened, query, rows, columns, schema)
    is_first = query.start is None and not query.first
    return render_template(
        "run/records.html",
        uri=uri,
        opened=opened,
        query=query,
        wanted=wanted,
        outcomes=_outcomes(opened),
        groups=opened.counts.groups[:_MOST_LISTED],
        labels=[*dict.fromkeys(v for pairs in opened.counts.labels.values() for v, _ in pairs)][
            :_MOST_LISTED
        ],
        all_columns=schema.names,
        names=names,
        rows=shown,
        sentence=sentence,
        problems=problems,
        following=_url(uri, following) if following is not None else None,
        is_cut=is_cut,
        beginning=None if is_first else _url(uri, query.beginning()),
        of_unit=partial(_url_of_unit, uri, query),
        csv=_url(uri, query.beginning(), "runs.records.as_csv"),
        source=source_of(uri, opened.run.config, wanted, schema),
    )


@page.get("/run/errors")
def show_errors() -> str:
    """Show all groups of errors of a run, page by page."""
    uri, number = run_argument(), number_argument("page", 1)
    opened = shared().opened.open(uri)
    errors = all_errors(opened.counts, opened.run.config)
    pages = max(1, -(-len(errors.groups) // _GROUPS_SHOWN))
    number = min(number, pages)
    first = (number - 1) * _GROUPS_SHOWN
    return render_template(
        "run/all_errors.html",
        uri=uri,
        errors=errors,
        groups=errors.groups[first : first + _GROUPS_SHOWN],
        page=number,
        pages=pages,
        page_url=lambda number: url_for("runs.records.show_errors", uri=uri, page=number),
        records_of=records_of,
    )


def records_of(run_uri: str, group: Group) -> str:
    """Return the address of the records of a group of errors."""
    if group.outcome in WITHOUT_REASON:
        return url_for("runs.records.show", uri=run_uri, outcome=group.outcome)
    error = ErrorGroup(group.outcome, group.code, group.message).text
    return url_for("runs.records.show", uri=run_uri, error=error)


@page.get("/run/records.csv")
def as_csv() -> AnyResponse:
    """Send all rows that fit a filter as CSV, while they are read."""
    opened, query = shared().opened.open(run_argument()), _query()
    pieces = csv_of(opened, query.wanted, unit=query.unit, is_sample=query.is_sample)
    # An error before the first row is shown as a page; a later one breaks the download off.
    first = next(pieces)
    answer = Response(chain([first], pieces), mimetype="text/csv")
    name = f"{opened.run.run_id}-rows.csv"
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


@page.get("/run/record")
def show_one() -> str | AnyResponse:
    """Show one record: by its id, by the place of a row, or by what a user looks for."""
    uri = run_argument()
    opened = shared().opened.soon(uri)
    if opened is None:
        return _opening(uri)
    looked_for = request.args.get("find", "").strip()
    if looked_for:
        return _look_for(uri, opened, looked_for)
    place = request.args.get("at", "")
    if place:
        shown = show_place(opened.run, opened.manifest, Place.of(place))
    else:
        shown = show_record(opened.run, opened.manifest, argument("id"))
    return _record_page(uri, opened, shown)


def _opening(uri: str) -> str:
    """Return the page that is shown while the counts of a very large run are read."""
    return render_template("run/opening.html", uri=uri, up=url_for("runs.run.show", uri=uri))


def _look_for(uri: str, opened: OpenedRun, text: str) -> AnyResponse:
    """Go to the record with an id or a key; to the rows with a key that gives no id."""
    config = opened.run.config
    key = config.source.key
    if is_record_id(text):
        try:
            show_record(opened.run, opened.manifest, text)
        except RunFolderError:
            if not key:
                raise
        else:
            return redirect(url_for("runs.records.show_one", uri=uri, id=text))
    if len(key) > 1:
        raise ConfigError(
            f"{text!r}: the key of this run has the columns {', '.join(key)}; look for a record id,"
            " or for the value of a column"
        )
    if key and config.hashes_bodies:
        return redirect(url_for("runs.records.show", uri=uri, column=key[0], value=text))
    record_id = id_of_key((text,), config)
    return redirect(url_for("runs.records.show_one", uri=uri, id=record_id))


def _record_page(uri: str, opened: OpenedRun, shown: ShownRecord) -> str:
    return render_template(
        "run/record.html",
        uri=uri,
        shown=shown,
        request_text=None if shown.request is None else pretty(shown.request),
        replies=shown_replies(shown),
        rows=[pairs_of(row) for row in shown.rows],
        outcomes=[row.get(opened.run.config.results.outcome_column) for row in shown.rows],
    )


def _query() -> RowQuery:
    args: MultiDict[str, str] = request.args
    return read_query(lambda name: args.get(name, ""), args.getlist)


def _outcomes(opened: OpenedRun) -> list[tuple[str, int]]:
    """Return the outcomes that rows have, in the order of the report, with their rows."""
    totals = opened.counts.totals
    order = ["ok", *OUTCOMES]
    names = [name for name in order if name in totals or not totals]
    return [(name, totals.get(name, 0)) for name in names if name != "waiting"]


def _url(uri: str, query: RowQuery, endpoint: str = "runs.records.show") -> str:
    params: dict[str, list[str]] = {}
    for name, value in query.params():
        params.setdefault(name, []).append(value)
    return url_for(endpoint, uri=uri, **params)  # type: ignore[arg-type]


def _url_of_unit(uri: str, query: RowQuery, unit: str) -> str:
    """Return the address of the rows of one unit, with the same filter."""
    return _url(uri, RowQuery(query.wanted, unit=unit, order=query.order))
