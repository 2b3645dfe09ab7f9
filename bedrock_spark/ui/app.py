"""Make the app: its pages, its guard, and how it shows errors."""

from __future__ import annotations

import logging
import traceback

from flask import Blueprint, Flask, jsonify, render_template, request
from jinja2 import StrictUndefined
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as AnyResponse

from bedrock_spark._version import __version__
from bedrock_spark.costs.tokens import dollars
from bedrock_spark.errors import BedrockSparkError
from bedrock_spark.page import words
from bedrock_spark.page.templating import style
from bedrock_spark.ui.current import KEY, NotAllowedError, ui_settings, wants_json
from bedrock_spark.ui.guard import guard
from bedrock_spark.ui.pages import compare, playground, rows, runs
from bedrock_spark.ui.settings import UiSettings

logger = logging.getLogger(__name__)
# The blueprints, one a page. A page is in the navigation if it is also there.
PAGES: tuple[Blueprint, ...] = (runs.page, playground.page, rows.page, compare.page)
# The links at the top of each page: the endpoint, and its name.
NAVIGATION = (
    ("runs.show", "Runs"),
    ("playground.show", "Playground"),
    ("rows.show", "Rows"),
    ("compare.show", "Compare"),
)
# A picture or a document in a request of the playground; see limits.py for what models take.
_MAX_REQUEST_BYTES = 64 << 20


def create_app(settings: UiSettings, token: str) -> Flask:
    """Return the app. token: what a request must have, as `guard` says."""
    app = Flask("bedrock_spark.ui")
    app.config[KEY] = settings
    app.config["MAX_CONTENT_LENGTH"] = app.config["MAX_FORM_MEMORY_SIZE"] = _MAX_REQUEST_BYTES
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.jinja_env.undefined = StrictUndefined
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.filters.update(
        dollars=dollars,
        duration=words.duration,
        exact_dollars=words.exact_dollars,
        moment=words.moment,
        number=words.number,
        rough_dollars=words.rough_dollars,
    )
    app.jinja_env.globals.update(
        counted=words.counted,
        navigation=NAVIGATION,
        share=words.share,
        version=__version__,
    )
    app.context_processor(lambda: {"settings": ui_settings()})
    guard(app, token)
    for page in PAGES:
        app.register_blueprint(page)
    app.add_url_rule("/base.css", "base_style", _base_style)
    app.register_error_handler(Exception, _show_error)
    return app


def _base_style() -> AnyResponse:
    return AnyResponse(str(style("base.css")), mimetype="text/css")


def _show_error(error: Exception) -> tuple[str | AnyResponse, int]:
    """Show an error as a page, or as JSON to a script of a page."""
    code, kind, message = _described(error)
    if wants_json():
        return jsonify(error={"kind": kind, "message": message}), code
    return render_template("error.html", kind=kind, message=message), code


def _described(error: Exception) -> tuple[int, str, str]:
    """Return the status, the kind and the sentence of an error."""
    if isinstance(error, NotAllowedError):
        return 403, "NotAllowed", error.description or error.name
    if isinstance(error, BedrockSparkError):
        return 400, type(error).__name__.removesuffix("Error"), str(error)
    if isinstance(error, HTTPException):
        sentence = error.description or error.name
        if error.code == 404:
            sentence = f"there is no page {request.path}"
        return error.code or 500, error.name, sentence
    # The text of an unexpected error may quote a row, so it is not printed.
    frames = "".join(traceback.format_tb(error.__traceback__))
    logger.error("%s: %s\n%s", request.path, type(error).__name__, frames)
    name = type(error).__name__
    return 500, name, f"an unexpected error ({name}); the terminal shows where it happened"
