"""Pictures in the terminal: only in one that says that it can, by its own protocol."""

from __future__ import annotations

import base64
import io
import re

import pytest

from bedrock_spark.cli.invoke.inline_pictures import inline_drawer, iterm, kitty
from bedrock_spark.playground.images import Picture


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environment", "drawer"),
    [
        ({"TERM_PROGRAM": "iTerm.app"}, iterm),
        ({"LC_TERMINAL": "iTerm2"}, iterm),
        ({"TERM_PROGRAM": "WezTerm"}, iterm),
        ({"KITTY_WINDOW_ID": "1"}, kitty),
        ({"TERM": "xterm-kitty"}, kitty),
        ({"TERM_PROGRAM": "ghostty"}, kitty),
        ({"TERM": "xterm-256color"}, None),
        ({"TERM_PROGRAM": "Apple_Terminal"}, None),
        ({"TERM_PROGRAM": "iTerm.app", "TMUX": "/tmp/tmux-0/default,1,0"}, None),
        ({"KITTY_WINDOW_ID": "1", "STY": "1.pts-0"}, None),
        ({"LC_TERMINAL": "iTerm2", "TERM": "tmux-256color"}, None),
        ({"LC_TERMINAL": "iTerm2", "TERM": "screen.xterm-256color"}, None),
        ({}, None),
    ],
)
def test_only_a_terminal_that_says_that_it_can_shows_pictures(
    environment: dict[str, str], drawer: object
) -> None:
    """And nothing else than a terminal: a file must not get control sequences."""
    assert inline_drawer(Terminal(), environment) is drawer
    assert inline_drawer(io.StringIO(), environment) is None


def test_iterm_gets_the_whole_file() -> None:
    shown = iterm(Picture(1, b"webp bytes", "webp", 1, 1, None))
    match = re.fullmatch(r"\x1b\]1337;File=inline=1;size=10:([A-Za-z0-9+/=]+)\x07", shown)
    assert match is not None
    assert base64.b64decode(match[1]) == b"webp bytes"


@pytest.mark.parametrize("size", [3, 3072, 3073, 10_000])
def test_kitty_gets_pieces(size: int) -> None:
    """Of at most 4,096 characters; all but the last say that more follow."""
    data = bytes(n % 251 for n in range(size))
    shown = kitty(Picture(1, data, "png", 1, 1, None))
    assert shown is not None
    pieces = re.findall(r"\x1b_G(a=T,f=100,q=2,)?m=([01]);([A-Za-z0-9+/=]*)\x1b\\", shown)
    assert "".join(f"\x1b_G{a}m={m};{text}\x1b\\" for a, m, text in pieces) == shown
    assert [bool(head) for head, _, _ in pieces] == [True] + [False] * (len(pieces) - 1)
    assert [more for _, more, _ in pieces] == ["1"] * (len(pieces) - 1) + ["0"]
    assert max(len(text) for _, _, text in pieces) <= 4096
    assert all(len(text) % 4 == 0 for _, _, text in pieces[:-1])
    assert base64.b64decode("".join(text for _, _, text in pieces)) == data


def test_kitty_shows_only_png() -> None:
    assert kitty(Picture(1, b"x", "jpeg", 1, 1, None)) is None
