"""One run: its report, live while it goes on. The folder of a config with stages shows these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import Blueprint, render_template, url_for
from markupsafe import Markup
from werkzeug.wrappers import Response as AnyResponse

from bedrock_spark.browse.run_index import ShownRun
from bedrock_spark.errors import ConfigError
from bedrock_spark.page.templating import style
from bedrock_spark.run_folder.stages_file import stages_below
from bedrock_spark.ui.current import run_argument, ui_settings
from bedrock_spark.ui.live import GOES_ON, RESTS, LivePage
from bedrock_spark.ui.run_view import view_of
from bedrock_spark.ui.settings import Kind
from bedrock_spark.ui.shared import shared

page = Blueprint("run", __name__)


@dataclass(frozen=True)
class _Stage:
    """A stage by its name. shown: None if it has not begun."""

    name: str
    shown: ShownRun | None


@page.get("/run")
def show() -> str:
    """Show a run, or the stages below a folder."""
    uri = run_argument()
    view = _view(uri)
    if view is None:
        return render_template("run/opening.html", uri=uri, up=_up(uri))
    return render_template("run.html", uri=uri, up=_up(uri), view=view)


@page.get("/run/now")
def now() -> AnyResponse:
    """Return the parts of the page that have changed, to the script of the page."""
    view = _view(run_argument())
    if view is None:
        raise ConfigError("the run is being read")
    return view.news()


@page.get("/run/report.css")
def report_style() -> AnyResponse:
    """Return the style sheet of the sections of a report."""
    return AnyResponse(str(style("report.css")), mimetype="text/css")


def _view(uri: str) -> LivePage | None:
    """Return the page of a run; None if its first reading takes longer than a user waits."""
    names = stages_below(uri, ui_settings().aws)
    if names is not None:
        return _view_of_stages(uri, names)
    reading = shared().looks.soon(uri)
    return None if reading is None else view_of(uri, reading, shared())


def _view_of_stages(uri: str, names: tuple[str, ...]) -> LivePage:
    index = shared().index_of(uri)
    stages = [_Stage(name, index.one(name)) for name in names]
    runs = [stage.shown.run for stage in stages if stage.shown is not None]
    known = [run.cost for run in runs if run.cost is not None]
    goes_on = any(stage.shown is not None and stage.shown.goes_on for stage in stages)
    part = render_template(
        "run/stages.html",
        uri=uri,
        stages=stages,
        done=sum(run.state == "done" for run in runs),
        cost=sum(known) if known and len(known) == len(runs) else None,
    )
    seconds = GOES_ON if goes_on else RESTS
    return LivePage(uri, {"stages": Markup(part)}, seconds, ui_settings().clock.now())


def _up(uri: str) -> str:
    """Return the address of the runs beside a run."""
    place = ui_settings().place
    values: dict[str, Any] = {}
    if place is not None and place.kind is Kind.PREFIX and uri.startswith(place.name):
        values["prefix"] = place.name
    else:
        values["prefix"] = uri.rpartition("/")[0] or uri
    return url_for("runs.show", **values)
