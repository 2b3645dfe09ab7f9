"""The lines of a chat: blank ones, those that go on, and what is no text."""

from __future__ import annotations

import io
import sys

import pytest

from bedrock_spark.cli.invoke.chat_input import ChatInput
from bedrock_spark.errors import ConfigError


def read_all(monkeypatch: pytest.MonkeyPatch, data: bytes) -> list[str]:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    lines = ChatInput()
    assert not lines.is_terminal
    found: list[str] = []
    while (text := lines.read()) is not None:
        found.append(text)
    return found


@pytest.mark.parametrize(
    ("data", "texts"),
    [
        (b"", []),
        (b"\n \n\t\n", []),
        (b" one \r\ntwo", ["one", "two"]),
        (b"one\\\ntwo\\\n\nthree\n", ["one\ntwo", "three"]),
        (b"one\\\n\\\ntwo\n", ["one\n\ntwo"]),
        (b"\\\n\nnext\n", ["next"]),
        (b"one\\", ["one"]),
        ("één {{ x }}\n".encode(), ["één {{ x }}"]),
    ],
)
def test_lines_become_questions(
    monkeypatch: pytest.MonkeyPatch, data: bytes, texts: list[str]
) -> None:
    """Without the spaces around them. A backslash at the end continues a line."""
    assert read_all(monkeypatch, data) == texts


def test_bytes_that_are_no_text_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="not UTF-8"):
        read_all(monkeypatch, b"fine\n\xff\n")


def test_a_terminal_shows_where_to_type(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On stderr if stdout is a file, which gets the answers only."""

    class Terminal(io.TextIOWrapper):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal(io.BytesIO(b"one\\\ntwo\n")))
    lines = ChatInput()
    assert lines.is_terminal
    assert lines.read() == "one\ntwo"
    assert tuple(capsys.readouterr()) == ("", "> | ")
