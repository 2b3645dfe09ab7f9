"""How the app shows errors, and what it lets a request do."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask, Response

from bedrock_spark.ui.current import require_calls, require_control
from bedrock_spark.ui.settings import Kind, Place
from tests.unit.ui.conftest import ClientOf

SECRET = "the prompt of a row"


def with_rules(app: Flask) -> None:
    """Add pages that fail, before the first request."""

    def broken() -> str:
        raise KeyError(SECRET)

    def calls() -> str:
        require_calls()
        return "called"

    def control() -> str:
        require_control()
        return "stopped"

    def stream() -> Response:
        def lines() -> Iterator[str]:
            yield "one"
            raise KeyError(SECRET)

        return Response(lines())

    app.add_url_rule("/broken", view_func=broken)
    app.add_url_rule("/stream", view_func=stream)
    app.add_url_rule("/calls", view_func=calls, methods=["POST"])
    app.add_url_rule("/control", view_func=control, methods=["POST"])


def test_an_unexpected_error_does_not_quote_a_row(
    client_of: ClientOf, caplog: pytest.LogCaptureFixture
) -> None:
    client = client_of()
    with_rules(client.application)
    with caplog.at_level(logging.ERROR):
        answer = client.get("/broken")
    assert answer.status_code == 500
    assert "KeyError" in answer.text
    assert "test_app.py" in caplog.text
    assert SECRET not in answer.text + caplog.text


@pytest.mark.parametrize(
    ("path", "option"), [("/calls", "allow_calls"), ("/control", "allow_control")]
)
def test_what_costs_or_changes_needs_its_option(
    client_of: ClientOf, path: str, option: str
) -> None:
    client = client_of()
    with_rules(client.application)
    refused = client.post(path, headers={"Accept": "application/json"})
    assert refused.status_code == 403
    assert f"--{option.replace('_', '-')}" in refused.json["error"]["message"]
    allowed = client_of(**{option: True})
    with_rules(allowed.application)
    assert allowed.post(path).status_code == 200


def test_a_page_that_does_not_exist_is_an_error_page(client_of: ClientOf) -> None:
    answer = client_of().get("/no-such-page")
    assert answer.status_code == 404
    assert "there is no page /no-such-page" in answer.text


def test_values_are_text_on_a_page(client_of: ClientOf, tmp_path: Path) -> None:
    answer = client_of().get("/", query_string={"prefix": f"{tmp_path}/<script>alert(1)</script>"})
    assert answer.status_code == 200
    assert "<script>alert" not in answer.text
    assert "&lt;script&gt;alert(1)" in answer.text


def test_the_first_page_shows_the_runs_of_the_command_line(
    client_of: ClientOf, tmp_path: Path
) -> None:
    answer = client_of(place=Place(str(tmp_path), Kind.PREFIX)).get("/", follow_redirects=True)
    assert f"There is no run below {tmp_path}" in answer.text


def test_an_error_in_a_stream_does_not_quote_a_row(
    client_of: ClientOf, caplog: pytest.LogCaptureFixture
) -> None:
    """The server logs the error that it gets, with its text."""
    client = client_of()
    with_rules(client.application)
    with pytest.raises(RuntimeError, match="broke off") as raised:
        list(client.get("/stream").iter_encoded())
    logged = "".join(traceback.format_exception(raised.value))
    assert "KeyError" in caplog.text
    assert SECRET not in logged + caplog.text
