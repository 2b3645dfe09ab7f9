"""The app with Flask's client, which has the token and the Origin that a browser sends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient

from bedrock_spark.ui.app import create_app
from bedrock_spark.ui.guard import cookie_name
from bedrock_spark.ui.settings import UiSettings

TOKEN = "a-token"
ORIGIN = "http://localhost"
ClientOf = Callable[..., FlaskClient]


@pytest.fixture
def client_of() -> ClientOf:
    """Return a function that makes a client. settings: fields of `UiSettings`."""

    def make(**settings: Any) -> FlaskClient:
        app = create_app(replace(UiSettings(), **settings), TOKEN)
        client = app.test_client()
        client.set_cookie(cookie_name(TOKEN), TOKEN, domain="localhost")
        client.environ_base["HTTP_ORIGIN"] = ORIGIN
        return client

    return make
