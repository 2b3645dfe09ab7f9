"""The runs below a prefix."""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from bedrock_spark.browse.runs import find_runs
from bedrock_spark.ui.current import ui_settings
from bedrock_spark.ui.settings import Kind

page = Blueprint("runs", __name__)


@page.get("/")
def show() -> str | AnyResponse:
    """Show the runs below the prefix of the query, or of the command line."""
    settings = ui_settings()
    prefix = request.args.get("prefix", "").strip()
    if not prefix and settings.place is not None and settings.place.kind is Kind.PREFIX:
        return redirect(url_for("runs.show", prefix=settings.place.name))
    found = find_runs(prefix, settings.aws) if prefix else []
    return render_template("runs.html", prefix=prefix, runs=found)
