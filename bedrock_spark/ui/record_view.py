"""What the page of one record shows: its replies in parts, its values as text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bedrock_spark.browse.plain_json import as_text
from bedrock_spark.browse.record import ShownRecord
from bedrock_spark.browse.replies import Reply
from bedrock_spark.clock import iso_time
from bedrock_spark.costs.tokens import small_dollars
from bedrock_spark.page.short_values import shortened

# What base64 of an image begins with, by its format.
_IMAGES = {"iVBOR": "png", "/9j/": "jpeg", "UklGR": "webp", "R0lGO": "gif"}
_MOST_IMAGES = 8
_LONGEST_IMAGE = 8_000_000


@dataclass(frozen=True)
class ShownReply:
    """A reply, as the page shows it.

    about: who replied; facts: names and values
    parts: reasoning, text and tool input, those that there are; images: addresses of data
    columns: of the answer, as text; None if it has none; raw: the whole reply as JSON
    job: the name of its job; None if it is not known
    """

    about: str
    reply: Reply
    facts: tuple[tuple[str, str], ...]
    parts: tuple[tuple[str, str], ...]
    images: tuple[str, ...]
    columns: tuple[tuple[str, str], ...] | None
    raw: str | None
    job: str | None


def shown_replies(shown: ShownRecord) -> list[ShownReply]:
    """Return the replies in the order of time."""
    jobs = {job.job_id: job for job in shown.jobs}
    return [_shown(r, jobs[r.job_id].name if r.job_id in jobs else None) for r in shown.replies]


def _shown(reply: Reply, job: str | None) -> ShownReply:
    answer = reply.answer
    names = ("reasoning", "text", "tool_input")
    texts = [] if answer is None else [(name, getattr(answer, name)) for name in names]
    return ShownReply(
        about=_about(reply),
        reply=reply,
        facts=tuple(_facts(reply)),
        parts=tuple((name.replace("_", " "), text) for name, text in texts if text),
        images=_images(reply),
        columns=None if reply.columns is None else pairs_of(reply.columns),
        raw=None if reply.output is None else pretty(reply.output),
        job=job,
    )


def _about(reply: Reply) -> str:
    if reply.attempt is not None:
        return f"Batch job, attempt {reply.attempt}"
    if reply.run_id is not None:
        return f"Kept: the run {reply.run_id} has paid for it"
    return reply.served_by.capitalize()


def _facts(reply: Reply) -> list[tuple[str, str]]:
    answer = reply.answer
    code = "" if reply.error_code is None else f"{reply.error_code}: "
    values = {
        "error": None if answer is not None else f"{code}{reply.error_message or 'no message'}",
        "why it is not ok": reply.reason,
        "other objects that fit": str(reply.others) if reply.others else None,
        "cost": None if reply.cost is None else small_dollars(reply.cost),
        "model": reply.model_id,
        "ended": iso_time(reply.ended_at),
        "object": reply.source,
    }
    if answer is not None:
        numbers = {
            "in": answer.input_tokens,
            "out": answer.output_tokens,
            "of reasoning": answer.reasoning_tokens,
            "from a cache": answer.cache_read_tokens,
            "into a cache": answer.cache_write_tokens,
        }
        tokens = [f"{count:,} {name}" for name, count in numbers.items() if count is not None]
        vector = answer.embedding
        own = {
            "stop reason": answer.stop_reason,
            "tokens": ", ".join(tokens) or None,
            "vector": None if vector is None else f"{len(vector):,} numbers: {_beginning(vector)}",
        }
        values = {**own, **values}
    return [(name, value) for name, value in values.items() if value is not None]


def _beginning(vector: tuple[float, ...]) -> str:
    return ", ".join(f"{each:g}" for each in vector[:4]) + (", …" if len(vector) > 4 else "")


def _images(reply: Reply) -> tuple[str, ...]:
    """Return images as addresses of data; those of an unknown format are left out."""
    found = []
    for text in (() if reply.answer is None else reply.answer.images)[:_MOST_IMAGES]:
        form = next((name for start, name in _IMAGES.items() if text.startswith(start)), None)
        if form is not None and len(text) <= _LONGEST_IMAGE:
            found.append(f"data:image/{form};base64,{text}")
    return tuple(found)


def pairs_of(values: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return values as text; those that are null are left out."""
    return tuple(
        (name, value if isinstance(value, str) else as_text(shortened(value)))
        for name, value in values.items()
        if value is not None
    )


def pretty(data: bytes) -> str:
    """Return JSON for a person, with base64 and vectors cut; any other text as it is."""
    text = data.decode(errors="replace")
    try:
        return json.dumps(shortened(json.loads(text)), ensure_ascii=False, indent=2)
    except (ValueError, RecursionError):
        return text
