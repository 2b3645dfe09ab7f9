"""Quotes of a prompt are cut out of a message, and nothing else is."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.invoke.redact import redact

PROMPT = "Classify this ticket: my password is hunter2, please help"
BODY = json.dumps(
    {
        "anthropic_version": "bedrock-2023-05-31",
        "messages": [{"role": "user", "content": [{"type": "text", "text": PROMPT}]}],
        "metadata": {"name": "Zoë K."},
    }
).encode()


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("messages.0.content.0.text: Field required", None),
        ("#: extraneous key [top_q] is not permitted", None),
        ("max_tokens: 9000 > 4096, which is the maximum", None),
        (f"cannot take {PROMPT!r} here", "cannot take '…' here"),
        ("cannot take 'my password is h...'", "cannot take '…...'"),
        ("for Zoë K. there is no role user", "for … there is no role user"),
        ("", ""),
    ],
)
def test_a_message_keeps_everything_but_the_quote(message: str, expected: str | None) -> None:
    """Keys, numbers and the API's own words stay."""
    assert redact(message, BODY) == (message if expected is None else expected)


def test_a_message_has_a_maximum_length() -> None:
    """The service may quote a megabyte."""
    assert redact("x" * 10_000, b"{}") == "x" * 300 + "…"


TEXTS = st.text("ab ", min_size=12, max_size=40)


@given(TEXTS, TEXTS, st.text("ab ", max_size=10), st.integers(0, 40), st.integers(0, 40))
def test_no_run_of_12_characters_of_a_prompt_stays(
    one: str, two: str, own: str, start: int, stop: int
) -> None:
    """From any place in the prompt, and quoted any number of times."""
    message = f"{own}{one[start:stop]}{own}{two[: stop + start]}{one}"
    shown = redact(message, json.dumps({"a": [one, {"b": two}]}).encode())
    for part in shown.split("…"):
        runs = {part[i : i + 12] for i in range(len(part) - 11)}
        assert not any(run in text for run in runs for text in (one, two))


@given(st.text(max_size=200), st.text(max_size=11))
def test_a_message_without_a_quote_does_not_change(message: str, text: str) -> None:
    """A text of fewer than 12 characters can only be quoted as a whole."""
    if text not in message:
        assert redact(message, json.dumps([text]).encode()) == message
