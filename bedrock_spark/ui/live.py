"""A page that stays up to date: it has named parts, and a browser gets those that have changed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from flask import jsonify, request
from markupsafe import Markup
from werkzeug.wrappers import Response as AnyResponse

from bedrock_spark.clock import iso_time

# After how many seconds a browser asks again: while something goes on, and while all rests.
GOES_ON, RESTS = 5, 30


@dataclass(frozen=True)
class LivePage:
    """A page in parts. static/live.js renews it, and the macro `live` of live.html shows it.

    parts: HTML by name, in the order of the page
    seconds: after how many a browser asks again, if its tab is seen
    at: when it was read, in seconds since the epoch
    """

    title: str
    parts: Mapping[str, Markup]
    seconds: int
    at: float

    @property
    def read_at(self) -> str:
        """Return when it was read: 14:05:03 UTC."""
        return f"{(iso_time(self.at) or '')[11:19]} UTC"

    @property
    def digests(self) -> dict[str, str]:
        """Return a short digest of each part."""
        return {name: _digest_of(html) for name, html in self.parts.items()}

    def news(self) -> AnyResponse:
        """Return the parts that the browser of this request does not have, as JSON.

        Its query says what it has: `have` is `name:digest` of each part, with commas between.
        """
        pairs = (each.partition(":") for each in request.args.get("have", "").split(","))
        have = {name: digest for name, _, digest in pairs}
        changed = {
            name: {"digest": digest, "html": self.parts[name]}
            for name, digest in self.digests.items()
            if digest != have.get(name)
        }
        return jsonify(parts=changed, seconds=self.seconds, title=self.title, read_at=self.read_at)


def _digest_of(html: str) -> str:
    return hashlib.sha256(html.encode()).hexdigest()[:12]
