"""The file of a chat: a turn is a line of its own, whatever an editor did to the file before."""

from __future__ import annotations

from pathlib import Path

import pytest

from bedrock_spark.cli.invoke.saved_chat import SavedChat, SavedTurn
from bedrock_spark.errors import ConfigError

TURN = b'{"question":"a","answer":"b"}'


@pytest.mark.parametrize("before", [b"", TURN, TURN + b"\n", TURN + b"\n" + TURN, TURN + b"\r\n"])
def test_a_turn_begins_a_new_line(tmp_path: Path, before: bytes) -> None:
    """An editor may have left out the last newline."""
    path = tmp_path / "chat.jsonl"
    path.write_bytes(before)
    for question in ("c", "d"):
        SavedChat(path).add(SavedTurn(question, "e"), 0.0)
    turns = SavedChat(path).load().turns
    assert [turn.question for turn in turns] == ["a"] * before.count(TURN) + ["c", "d"]
    assert b"\n\n" not in path.read_bytes()
    assert path.read_bytes().startswith(before)
    assert path.read_bytes().endswith(b"\n")


def test_a_file_that_is_opened_is_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "chat.jsonl"
    SavedChat(path).load()
    assert path.read_bytes() == b""
    assert path.stat().st_mode & 0o077 == 0
    path.write_bytes(TURN)
    SavedChat(path).append()
    assert path.read_bytes() == TURN


def test_half_a_turn_is_still_an_error(tmp_path: Path) -> None:
    """A newline does not make it whole, and it is not thrown away."""
    path = tmp_path / "chat.jsonl"
    path.write_bytes(TURN + b"\n" + TURN[:9])
    SavedChat(path).add(SavedTurn("c", "d"), 0.0)
    with pytest.raises(ConfigError, match="line 2 is no turn"):
        SavedChat(path).load()
