"""What a report shows of a config: no prompt, no option of the source, no credential."""

from __future__ import annotations

from typing import Any

from bedrock_spark.config import parse_config
from bedrock_spark.config.shown import shown_config
from tests.unit.fakes import config_values

SECRET = "Do not show this"


def test_texts_of_the_request_are_replaced_by_their_size() -> None:
    """Except words of the config and names of columns. Numbers stay."""
    request = {
        "prompt": f"{SECRET} {{{{ body }}}}",
        "system": SECRET,
        "stop": [SECRET, SECRET],
        "max_tokens": 5,
        "on_refused": "retry",
        "schema": {"type": "object", "properties": {SECRET: {"type": "string"}}},
        "images": "photo",
    }
    shown = shown_config(parse_config({**config_values(), "request": request}))
    assert SECRET not in str(shown)
    assert shown["request"] == {
        "prompt": "(hidden, 27 characters)",
        "system": "(hidden, 16 characters)",
        "stop": "(hidden, 2 items)",
        "max_tokens": 5,
        "on_refused": "retry",
        "schema": "(hidden, 2 keys)",
        "images": ["photo"],
    }


def test_options_and_credentials_are_replaced() -> None:
    """A variable's name is no secret; a place with a password is."""
    values: dict[str, Any] = config_values()
    options = {"url": "jdbc:postgresql://db/tickets", "password": {"env": "DB_PASSWORD"}}
    values["source"] = {"format": "jdbc", "options": options, "key": "id"}
    shown = shown_config(parse_config(values))
    assert shown["source"]["options"] == {
        "url": "(hidden, 28 characters)",
        "password": {"env": "DB_PASSWORD"},
    }
    assert "batch" in shown
    assert "canary" not in shown  # it is at its default
