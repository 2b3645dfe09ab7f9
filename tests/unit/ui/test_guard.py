"""Who may use the pages."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from bedrock_spark.ui.app import create_app
from bedrock_spark.ui.guard import cookie_name
from bedrock_spark.ui.settings import UiSettings
from tests.unit.ui.conftest import ORIGIN, TOKEN, ClientOf


@pytest.fixture
def stranger() -> FlaskClient:
    """Return a client without a cookie."""
    return create_app(UiSettings(), TOKEN).test_client()


def every_path(client: FlaskClient) -> list[str]:
    rules = client.application.url_map.iter_rules()
    return sorted({rule.rule.replace("<path:filename>", "ui.css") for rule in rules})


def test_without_the_token_nothing_is_served(stranger: FlaskClient) -> None:
    paths = every_path(stranger)
    assert "/" in paths
    styles = {"/static/ui.css", "/base.css"}
    assert styles < set(paths)
    for path in paths:
        for method in ("GET", "POST", "PUT", "DELETE"):
            asked = stranger.open(path, method=method, headers={"Origin": ORIGIN})
            expected = 200 if path in styles and method == "GET" else 403
            assert asked.status_code == expected, (method, path)


@pytest.mark.parametrize("token", ["", "another", "ä", TOKEN + "x", TOKEN[:-1]])
def test_another_token_is_refused(stranger: FlaskClient, token: str) -> None:
    assert stranger.get("/", query_string={"token": token}).status_code == 403
    stranger.set_cookie(cookie_name(TOKEN), token, domain="localhost")
    assert stranger.get("/").status_code == 403


def test_the_token_becomes_a_cookie_and_leaves_the_address(stranger: FlaskClient) -> None:
    answer = stranger.get("/", query_string={"token": TOKEN, "prefix": "/a b/&c"})
    assert answer.status_code == 303
    assert answer.headers["Location"] == "/?prefix=%2Fa+b%2F%26c"
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert stranger.get("/").status_code == 200


def test_the_way_back_stays_on_this_host(stranger: FlaskClient) -> None:
    answer = stranger.get("//example.com/", query_string={"token": TOKEN})
    assert not answer.headers.get("Location", "/").startswith("//")


@pytest.mark.parametrize(
    "host", ["example.com", "127.0.0.1.example.com", "10.0.0.1", "[::2]", "a b"]
)
def test_a_foreign_host_name_is_refused(client_of: ClientOf, host: str) -> None:
    assert client_of().get("/", headers={"Host": host}).status_code in (400, 403)


@pytest.mark.parametrize("host", ["localhost:1", "127.0.0.1:8080", "[::1]:8080"])
def test_names_of_this_machine_are_accepted(stranger: FlaskClient, host: str) -> None:
    """A forwarded port has another number than the one that is listened to."""
    answer = stranger.get("/", query_string={"token": TOKEN}, headers={"Host": host})
    assert answer.status_code == 303


@pytest.mark.parametrize("origin", [None, "null", "http://example.com", "http://localhost:81"])
def test_a_change_from_elsewhere_is_refused(client_of: ClientOf, origin: str | None) -> None:
    client = client_of()
    del client.environ_base["HTTP_ORIGIN"]
    headers = {} if origin is None else {"Origin": origin}
    assert client.post("/", headers=headers).status_code == 403
    assert client.post("/", headers={"Origin": ORIGIN}).status_code == 405


def test_every_answer_forbids_scripts_of_the_page_itself(client_of: ClientOf) -> None:
    client = client_of()
    for path in ("/", "/static/ui.css", "/no-such-page"):
        headers = client.get(path).headers
        policy = dict(
            p.strip().split(" ", 1) for p in headers["Content-Security-Policy"].split(";")
        )
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == "'self'"
        assert headers["Cache-Control"] == "no-store" or path.startswith("/static/")
        assert headers["X-Content-Type-Options"] == "nosniff"
