"""Lets the streams of an HTTP/2 connection end after the client has said GOAWAY.

A client says GOAWAY if it opens no more streams, and waits for the end of those that are open
(RFC 9113, section 6.8). AWS's SDK for JavaScript does so in every event stream, as soon as the
reply begins. The library h2 then treats the connection as closed, and refuses to send the rest.
"""

from __future__ import annotations

from typing import Any

from h2.connection import H2Connection
from h2.errors import ErrorCodes


def let_streams_end() -> None:
    """Ignore GOAWAY without an error from now on, in this process. May be called twice.

    This replaces a method of h2 (4.x). The connection ends when the client closes it.
    """
    receive: Any = H2Connection._receive_goaway_frame
    if getattr(receive, "lets_streams_end", False):
        return

    def receive_goaway(connection: Any, frame: Any) -> Any:
        if frame.error_code == ErrorCodes.NO_ERROR:
            return [], []
        return receive(connection, frame)

    receive_goaway.lets_streams_end = True  # type: ignore[attr-defined]
    H2Connection._receive_goaway_frame = receive_goaway  # type: ignore[method-assign,assignment]
