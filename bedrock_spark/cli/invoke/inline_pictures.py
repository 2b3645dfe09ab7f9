"""Show a picture in the terminal itself, if the terminal says that it can.

Two protocols: that of iTerm2, which WezTerm has too
(https://iterm2.com/documentation-images.html), and that of kitty, which Ghostty has too
(https://sw.kovidgoyal.net/kitty/graphics-protocol/). kitty's takes PNG only. Within tmux and screen
nothing is shown: they swallow both. They are also told by TERM, which ssh passes on: a machine that
is reached from within tmux has no TMUX, and may have LC_TERMINAL of the terminal around it.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import TextIO, TypeAlias

from bedrock_spark.playground.images import Picture

Draw: TypeAlias = Callable[[Picture], str | None]

# The longest piece of kitty's protocol. All but the last must be a multiple of 4.
_CHUNK = 4096
_MULTIPLEXERS = ("tmux", "screen")


def inline_drawer(stream: TextIO, environment: Mapping[str, str]) -> Draw | None:
    """Return the function that makes the text which shows a picture; None if nothing can be shown.

    The function returns None for a picture of a format that the terminal does not take.
    """
    if not stream.isatty() or "TMUX" in environment or "STY" in environment:
        return None
    if environment.get("TERM", "").startswith(_MULTIPLEXERS):
        return None
    term, program = environment.get("TERM", ""), environment.get("TERM_PROGRAM", "")
    if "KITTY_WINDOW_ID" in environment or term == "xterm-kitty" or program == "ghostty":
        return kitty
    is_iterm = "iTerm" in (program.removesuffix(".app"), environment.get("LC_TERMINAL", "")[:5])
    return iterm if is_iterm or program == "WezTerm" else None


def iterm(picture: Picture) -> str:
    """Return the control sequence of iTerm2 that shows a picture."""
    size = len(picture.data)
    return f"\x1b]1337;File=inline=1;size={size}:{_base64(picture.data)}\x07"


def kitty(picture: Picture) -> str | None:
    """Return the control sequences of kitty that show a picture; None if it is no PNG."""
    if picture.format != "png":
        return None
    text = _base64(picture.data)
    pieces = [text[start : start + _CHUNK] for start in range(0, len(text), _CHUNK)]
    last = len(pieces) - 1
    return "".join(
        # a=T: transmit and show; f=100: PNG; m=1: more pieces follow; q=2: no reply.
        f"\x1b_G{'a=T,f=100,q=2,' if n == 0 else ''}m={int(n < last)};{piece}\x1b\\"
        for n, piece in enumerate(pieces)
    )


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
