"""The settings of the app that serves the current request, and what it may do."""

from __future__ import annotations

from flask import current_app, request
from werkzeug.exceptions import Forbidden

from bedrock_spark.errors import ConfigError
from bedrock_spark.ui.settings import UiSettings

KEY = "BEDROCK_SPARK_UI"


class NotAllowedError(Forbidden):
    """The page was started without the option that allows this."""


def ui_settings() -> UiSettings:
    """Return the settings of the current app."""
    settings: UiSettings = current_app.config[KEY]
    return settings


def require_calls() -> None:
    """Refuse a request that would pay for a call. Raises NotAllowedError."""
    if not ui_settings().allow_calls:
        raise NotAllowedError(
            "this page calls no model: start bedrock-spark ui with --allow-calls to pay for calls"
        )


def require_control() -> None:
    """Refuse a request that would change a run. Raises NotAllowedError."""
    if not ui_settings().allow_control:
        raise NotAllowedError(
            "this page changes no run: start bedrock-spark ui with --allow-control to stop runs "
            "and to go on with them"
        )


def wants_json() -> bool:
    """Tell whether a script of a page sent this request, and not the browser itself."""
    accepted = request.accept_mimetypes
    return accepted["application/json"] > accepted["text/html"]


def argument(name: str) -> str:
    """Return a value of the query or the form. Raises ConfigError if it is missing or empty."""
    value = request.values.get(name, "").strip()
    if not value:
        raise ConfigError(f"{request.path}: the value {name!r} is missing")
    return value


def run_argument() -> str:
    """Return the URI of a run in the query or the form. Raises ConfigError if it is missing."""
    uri = argument("uri")
    return uri.rstrip("/") or uri


def number_argument(name: str, default: int) -> int:
    """Return a number in the query. Raises ConfigError if it is none."""
    value = request.args.get(name, "").strip()
    if not value:
        return default
    if not value.isascii() or not value.isdecimal() or len(value) > 9:
        raise ConfigError(f"{request.path}: {name}={value!r} is not a number")
    return int(value)
