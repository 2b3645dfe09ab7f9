"""Some rows of a config beside their answers, asked again while the prompt changes."""

from __future__ import annotations

import json
import queue
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal, InvalidOperation
from typing import Any, cast

from flask import (
    Blueprint,
    Flask,
    Response,
    redirect,
    render_template,
    request,
    stream_with_context,
    url_for,
)
from werkzeug.wrappers import Response as AnyResponse

from bedrock_spark.config.row_choice import RowChoice, keys_of_lines
from bedrock_spark.errors import BedrockSparkError, ConfigError
from bedrock_spark.preview.bench import Bench
from bedrock_spark.preview.draft import Fields, stage_names
from bedrock_spark.preview.options import MAX_COST
from bedrock_spark.preview.values import AnsweredRow, Estimate
from bedrock_spark.preview.view import View
from bedrock_spark.preview.words import whole_line
from bedrock_spark.ui.benches import MOST_CONFIGS, benches, share_benches
from bedrock_spark.ui.current import argument, require_calls, ui_settings
from bedrock_spark.ui.row_views import answer_columns, row_of, rows_of, source_columns
from bedrock_spark.ui.settings import Kind

page = Blueprint("rows", __name__, url_prefix="/rows")
page.record_once(lambda state: share_benches(cast("Flask", state.app)))

_MOST_ROWS = 200
# A page waits so long for its rows before it says that they are being read.
_WAIT_SECONDS = 0.7
# What messages call the condition that the page of rows takes.
_WHERE_NAME = "the condition"
_LINES = "application/x-ndjson"


@page.get("")
def show() -> str | AnyResponse:
    """Show the rows of the config of the query, or of the command line."""
    name = request.args.get("config", "").strip()
    place = ui_settings().place
    if not name:
        is_own = place is not None and place.kind is Kind.CONFIG
        if place is not None and is_own and "other" not in request.args:
            return redirect(url_for("rows.show", config=place.name))
        return _without_rows()
    try:
        bench = benches().of(name)
    except ConfigError:
        if stages := stage_names(name):
            return _without_rows(name, stages)
        raise
    if "rows" in request.args:
        choice = _choice(bench)
        if choice != bench.edits.choice:
            bench.choose(choice)
        return redirect(url_for("rows.show", config=name))
    is_there = bench.wait(_WAIT_SECONDS)
    view = bench.view if is_there else None
    return render_template(
        "rows.html",
        config=name,
        bench=bench,
        is_there=is_there,
        **({"view": None} if view is None else _table(bench, view)),
    )


def _without_rows(name: str = "", stages: Sequence[str] = ()) -> str:
    """Return the page that asks for a config, or for one of its stages."""
    opened = benches().opened()
    references = [f"{name}#{stage}" for stage in stages]
    return render_template("rows.html", config=name, bench=None, stages=references, opened=opened)


def _table(bench: Bench, view: View) -> dict[str, Any]:
    return {
        "rows": rows_of(bench, view),
        "source_columns": source_columns(view),
        "answer_columns": answer_columns(view),
        **_sums(bench, view),
    }


def _sums(bench: Bench, view: View) -> dict[str, Any]:
    """Return what the buttons and the sums below the table show."""
    return {
        "view": view,
        "new_price": _price(view.new),
        "again_price": _price(view.again),
        "paid": bench.edits.paid_in_words,
        "whole": None if bench.whole is None else whole_line(bench.whole),
        "notes": bench.notes(),
        "compared": bench.history.compared_rows(),
        "changed": bench.history.changed_rows(),
        "limit": f"{MAX_COST}",
        "held": benches().memory.held(),
        "most_configs": MOST_CONFIGS,
    }


def _price(estimate: Estimate) -> str:
    """Return what an estimate says, for the label of a button."""
    if not estimate.rows:
        return "nothing to pay"
    return estimate.words


def _choice(bench: Bench) -> RowChoice:
    """Return the rows that the query chooses. Raises ConfigError for a value that is none."""
    rows = _number("rows", 1, _MOST_ROWS)
    how = request.args.get("how", "first")
    if how == "random":
        return RowChoice(rows, seed=_number("seed", 0, 1_000_000))
    if how == "keys":
        lines = request.args.get("keys", "").replace("\r", "").split("\n")
        keys = keys_of_lines(lines, bench.edits.draft.checked().source.key)
        if not keys:
            raise ConfigError("keys: name at least one, one a line")
        return RowChoice(rows, keys=keys)
    if how == "where":
        where = request.args.get("where", "").strip() or None
        return RowChoice(rows, where=where, where_name=_WHERE_NAME)
    return RowChoice(rows)


def _number(name: str, least: int, most: int) -> int:
    value = request.args.get(name, "").strip()
    if not (value.isascii() and value.isdecimal()) or not least <= int(value[:9]) <= most:
        raise ConfigError(f"{name}: must be a number from {least:,} to {most:,}")
    return int(value)


@page.get("/state")
def state() -> dict[str, bool]:
    """Tell whether the rows are there."""
    return {"is_there": benches().of(argument("config")).wait(_WAIT_SECONDS)}


@page.post("/change")
def change() -> AnyResponse:
    """Change the prompt, the model or the parsing. The fields keep what is not valid."""
    name = argument("config")
    bench = benches().of(name)
    if request.form.get("reset"):
        bench.reset()
    else:
        try:
            bench.change(_fields())
        except ConfigError:
            if bench.error is None:  # rows are being asked
                raise
    return redirect(url_for("rows.show", config=name), 303)


def _fields() -> Fields:
    texts = {
        field: request.form.get(field, "").replace("\r\n", "\n")
        for field in ("prompt", "system", "parameters", "model", "parse")
    }
    return Fields(**texts)


@page.get("/config")
def config() -> AnyResponse:
    """Return the changed config as a file."""
    bench = benches().of(argument("config"))
    name = bench.edits.draft.file.rpartition("/")[2]
    response = Response(bench.edits.draft.text, mimetype="application/yaml")
    response.headers.set("Content-Disposition", "attachment", filename=name)
    return response


@page.get("/answers.jsonl")
def answers() -> AnyResponse:
    """Return all answers that were paid for on this page, of every config."""
    response = Response(benches().memory.lines(), mimetype="application/jsonl")
    response.headers.set("Content-Disposition", "attachment", filename="answers.jsonl")
    return response


@page.post("/stop")
def stop() -> AnyResponse:
    """Ask no further row."""
    name = argument("config")
    benches().of(name).stop()
    return redirect(url_for("rows.show", config=name), 303)


@page.post("/ask")
def ask() -> AnyResponse:
    """Ask rows, and answer with a line of JSON for each; without a script, with the page."""
    require_calls()
    name = argument("config")
    again_number = request.form.get("again_number", "")
    bench, seen = benches().of(name), argument("seen")
    bench.refuse_unseen(seen)
    asking = _Asking(
        bench,
        seen,
        _numbers(again_number or request.form.get("numbers", "")),
        is_again=bool(again_number or request.form.get("again")),
        limit=_limit(request.form.get("limit", f"{MAX_COST}")),
    )
    if _LINES in request.accept_mimetypes.values():
        lines = stream_with_context(asking.lines())
        return Response(lines, mimetype=_LINES, headers={"X-Accel-Buffering": "no"})
    asking.run()
    return redirect(url_for("rows.show", config=name), 303)


def _numbers(text: str) -> frozenset[int] | None:
    parts = text.replace(",", " ").split()
    if not all(part.isascii() and part.isdecimal() for part in parts):
        raise ConfigError("numbers: must be numbers of rows, or empty for all rows")
    return frozenset(int(part[:9]) for part in parts) or None


def _limit(text: str) -> Decimal:
    try:
        limit = Decimal(text.strip().removeprefix("$"))
    except InvalidOperation:
        limit = Decimal(0)
    if not (limit.is_finite() and limit > 0):
        raise ConfigError(f"limit: {text!r} is no sum of dollars; write one such as 0.50")
    return limit


class _Asking:
    """Asks rows in a thread, which goes on while the lines of its answers are sent."""

    def __init__(
        self,
        bench: Bench,
        seen: str,
        numbers: frozenset[int] | None,
        *,
        is_again: bool,
        limit: Decimal,
    ) -> None:
        self._bench, self._seen, self._numbers = bench, seen, numbers
        self._is_again, self._limit = is_again, limit
        # The numbers of the answered rows; None at the end.
        self._answered: queue.SimpleQueue[int | None] = queue.SimpleQueue()

    def run(self) -> None:
        """Ask the rows. Raises a BedrockSparkError."""

        def note(row: AnsweredRow) -> None:
            self._answered.put(row.number)

        try:
            self._bench.ask(
                *(note, self._numbers),
                seen=self._seen,
                again=self._is_again,
                max_cost=self._limit,
            )
        finally:
            self._answered.put(None)

    def lines(self) -> Iterator[str]:
        """Yield a line for each answer as it comes, and one with the sums at the end."""
        with ThreadPoolExecutor(1, thread_name_prefix="ask-rows") as pool:
            asked = pool.submit(self.run)
            try:
                while (number := self._answered.get()) is not None:
                    view = self._view
                    row = row_of(self._bench, view, number, source_columns(view))
                    yield _line(row=number, html=render_template("rows/row.html", row=row))
            except BaseException:
                # The browser has gone, or a row cannot be shown.
                self._bench.stop()
                raise
            try:
                asked.result()
            except BedrockSparkError as exc:
                yield self._end(str(exc))
            else:
                yield self._end(None)

    @property
    def _view(self) -> View:
        view = self._bench.view
        if view is None:
            raise ConfigError("the rows are not read yet")
        return view

    def _end(self, error: str | None) -> str:
        bench, view = self._bench, self._bench.view
        html = ""
        if view is not None:
            sums = _sums(bench, view)
            html = render_template("rows/sums.html", bench=bench, config=bench.edits.name, **sums)
        return _line(end=True, html=html, error=error)


def _line(**values: Any) -> str:
    return f"{json.dumps(values, ensure_ascii=False)}\n"
