"""The playground: ask models by hand, one or two side by side."""

from __future__ import annotations

import threading

from flask import Blueprint, Response, current_app, jsonify, render_template, request

from bedrock_spark.aws.clients import region_here
from bedrock_spark.browse.last_used import LastUsed
from bedrock_spark.playground.asking import Question
from bedrock_spark.playground.attached import references_in
from bedrock_spark.playground.estimate import cost_before
from bedrock_spark.playground.offered_model import CHAT, TABS
from bedrock_spark.starter.from_request import config_of_request
from bedrock_spark.ui.current import argument, require_calls, ui_settings
from bedrock_spark.ui.play.asked import (
    Built,
    body_of,
    build,
    encoded,
    pretty,
    read_asked,
    read_sent,
    tried,
)
from bedrock_spark.ui.play.files import FileStore
from bedrock_spark.ui.play.lines import answer_lines
from bedrock_spark.ui.play.models import ModelList, described, groups_of
from bedrock_spark.ui.settings import Kind

page = Blueprint("playground", __name__)
_MODELS, _ENDS, _FILES = "BEDROCK_SPARK_MODELS", "BEDROCK_SPARK_ENDS", "BEDROCK_SPARK_FILES"
# More than the requests that the server answers at a time.
_MOST_ENDS = 200


def _models() -> ModelList:
    """Return the models of the app, which all requests share."""
    settings = ui_settings()
    found: ModelList = current_app.extensions.setdefault(
        _MODELS, ModelList(settings.aws, settings.clock)
    )
    return found


@page.get("/playground")
def show() -> str:
    """Show a tab. Its models are read by its script, so that the page does not wait for them."""
    tab = request.args.get("tab", CHAT)
    settings = ui_settings()
    return render_template(
        "playground.html",
        tab=tab if tab in TABS else CHAT,
        tabs=TABS,
        model=request.args.get("model", ""),
        region=settings.aws.region or region_here() or "no Region",
    )


@page.get("/playground/models")
def models() -> Response:
    """Return the models of a tab, by their kinds. new: list them again."""
    is_new = request.args.get("new") == "1"
    catalogue = _models().catalogue(is_new=is_new)
    return jsonify(groups_of(catalogue, argument("tab"), ui_settings().clock.now()))


@page.get("/playground/model")
def model() -> Response:
    """Return a model's facts, way, price and parameters."""
    by_converse = request.args.get("converse") == "1"
    chosen = _models().served(argument("model"), argument("tab"), converse=by_converse)
    return jsonify(described(_models(), chosen, ui_settings().clock.now()))


@page.post("/playground/request")
def build_request() -> Response:
    """Return the requests that the form makes, and what they cost before they are sent."""
    asked = read_asked(request.get_data())
    chosen = _models().served(asked.model, asked.tab, converse=asked.converse)
    price = _models().price(chosen)
    if asked.body is None:
        files = _files().find(asked.all_files)
        built = build(asked, chosen, files)
    else:
        edited = body_of(asked.body)
        built, files = Built((edited,)), _files().find(references_in(edited))
    cost, *others = (cost_before(price, body, chosen.family, files) for body in built.bodies)
    cost = sum(others, cost)
    bodies = [pretty(body) for body in built.bodies]
    return jsonify(bodies=bodies, ignored=built.ignored, before=cost.words)


@page.post("/playground/file")
def add_file() -> Response:
    """Keep a file in memory, and say what it is."""
    file = _files().add(argument("name"), request.get_data())
    return jsonify(id=file.id, words=file.words, is_image=file.is_image)


def _files() -> FileStore:
    found: FileStore = current_app.extensions.setdefault(_FILES, FileStore())
    return found


@page.post("/playground/ask")
def ask() -> Response:
    """Send requests, and return what happens as lines of JSON, each as it happens."""
    require_calls()
    sent = read_sent(request.get_data())
    chosen = _models().served(sent.model, sent.tab, converse=sent.converse)
    settings = ui_settings()
    price = _models().price(chosen)
    bodies = [body_of(text) for text in sent.bodies]
    files = _files().find(name for body in bodies for name in references_in(body))
    questions = [Question(chosen, body, settings.aws, price) for body in encoded(bodies, files)]
    end = _end_of(sent.id) if sent.id else threading.Event()
    lines = answer_lines(questions, settings.clock, end)
    return Response(lines, mimetype="application/x-ndjson")


@page.post("/playground/stop")
def stop() -> Response:
    """End what was asked with an id; it may also come later than this."""
    _end_of(argument("id")).set()
    return jsonify(stopped=True)


def _end_of(name: str) -> threading.Event:
    """Return the event that ends what is asked with an id."""
    ends: LastUsed[str, threading.Event] = current_app.extensions.setdefault(
        _ENDS, LastUsed(_MOST_ENDS)
    )
    return ends.make(name, lambda known: known or threading.Event())


@page.post("/playground/config")
def config() -> Response:
    """Return a config that asks the question about each row of a table."""
    asked = read_asked(request.get_data())
    chosen = _models().served(asked.model, asked.tab, converse=asked.converse)
    settings = ui_settings()
    place = settings.place
    is_prefix = place is not None and place.kind is Kind.PREFIX
    runs = place.name if place is not None and is_prefix else None
    region = settings.aws.region or region_here()
    made = tried(asked, chosen, _files().find(asked.all_files))
    return jsonify(text=config_of_request(made, runs, region))
