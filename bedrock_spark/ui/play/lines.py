"""Answers as lines of JSON: what happens while requests are asked, one event a line."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict
from typing import Any

import msgspec

from bedrock_spark.clock import Clock, EndableClock
from bedrock_spark.page.short_values import shortened
from bedrock_spark.playground.asking import Question, ask
from bedrock_spark.playground.embeddings import Vector, nearest
from bedrock_spark.playground.estimate import cost_words
from bedrock_spark.playground.events import (
    Ended,
    Event,
    Failed,
    PictureMade,
    ReasoningPiece,
    TextPiece,
    Timing,
    ToolCallBegun,
    ToolInputPiece,
    VectorMade,
)
from bedrock_spark.playground.images import file_stem
from bedrock_spark.playground.prices import CallPrice


def answer_lines(
    questions: Sequence[Question], clock: Clock, end: threading.Event
) -> Iterator[bytes]:
    """Ask one question after the other; yield each event as a line of JSON.

    `call` is the place of the question, from 0. The lines of vectors are followed by one that names
    the nearest other vector of each. Closing this iterator ends the call. So does `end`: a call
    that waits to be repeated ends at once, a stream with its next piece, and no other question is
    asked.
    """
    vectors: list[tuple[int, Vector]] = []
    endable = EndableClock(clock, end)
    for call, question in enumerate(questions):
        if end.is_set():
            return
        with closing(ask(question, endable)) as events:  # type: ignore[type-var]
            for event in events:
                if end.is_set() and not isinstance(event, (Ended, Failed)):
                    return
                if isinstance(event, VectorMade):
                    vectors.append((call, event.vector))
                yield _line({"call": call, **_fields(event, question)})
    if vectors:
        yield _line({"kind": "near", "rows": _near_rows(vectors)})


def _line(fields: dict[str, Any]) -> bytes:
    # Half a character, which JSON cannot hold, is written as an escape.
    return json.dumps(fields).encode() + b"\n"


def _fields(event: Event, question: Question) -> dict[str, Any]:
    match event:
        case TextPiece(text):
            return {"kind": "text", "text": text}
        case ReasoningPiece(text):
            return {"kind": "reasoning", "text": text}
        case ToolCallBegun(name):
            return {"kind": "tool", "name": name}
        case ToolInputPiece(text):
            return {"kind": "tool_input", "text": text}
        case PictureMade(picture):
            return {
                "kind": "picture",
                "facts": picture.facts,
                "name": f"{file_stem(question.model.id, picture)}-{picture.number}."
                f"{picture.format}",
                "type": picture.media_type,
                "data": base64.b64encode(picture.data).decode(),
            }
        case VectorMade(vector):
            return {
                "kind": "vector",
                "length": vector.length,
                "norm": f"{vector.norm:.6g}",
                "type": vector.type,
            }
        case Ended():
            return _ended(event, question.price)
        case Failed():
            billed = " The service may bill this call." if event.is_billed else ""
            return {
                "kind": "failed",
                "message": event.message + billed,
                "billed": event.is_billed,
                "facts": _times(event.timing),
            }


def _ended(event: Ended, price: CallPrice) -> dict[str, Any]:
    output: Any = msgspec.json.decode(event.output)
    has_images = bool(event.answer.images)
    return {
        "kind": "ended",
        "ending": event.ending.value,
        "stop": event.answer.stop_reason,
        "text": event.answer.text or "",
        "calls": [asdict(call) for call in event.calls],
        "signed": event.signed,
        "facts": [
            *_token_facts(event),
            cost_words(event.cost, price),
            *_times(event.timing),
            *([f"stop reason {event.answer.stop_reason}"] if event.answer.stop_reason else []),
        ],
        "dollars": "0" if price.is_by_hour else None if event.cost is None else f"{event.cost:f}",
        "shown": json.dumps(shortened(output), indent=2, ensure_ascii=False),
        # Pictures have their own downloads.
        "output": None if has_images else event.output.decode(errors="replace"),
    }


def _token_facts(event: Ended) -> list[str]:
    answer = event.answer
    counts = {"in": answer.input_tokens, "out": answer.output_tokens}
    parts = {
        "of reasoning": answer.reasoning_tokens,
        "read from the cache": answer.cache_read_tokens,
        "written to the cache": answer.cache_write_tokens,
    }
    known = [f"{count:,} {what}" for what, count in counts.items() if count is not None]
    known += [f"{count:,} {what}" for what, count in parts.items() if count]
    return [f"tokens: {', '.join(known)}"] if known else ["tokens not counted"]


def _times(timing: Timing) -> list[str]:
    first = [f"first piece after {timing.first:.2f} s"] if timing.first is not None else []
    return [*first, f"all after {timing.all:.2f} s"]


def _near_rows(vectors: Sequence[tuple[int, Vector]]) -> list[dict[str, Any]]:
    """Return the nearest other vector of each. call: the question; input: the text inside it."""
    near = nearest([vector for _, vector in vectors])
    rows = []
    for (call, vector), other in zip(vectors, near, strict=True):
        found = None if other is None else vectors[other.index]
        rows.append(
            {
                "call": call,
                "input": vector.input,
                "type": vector.type,
                "length": vector.length,
                "norm": f"{vector.norm:.6g}",
                "near_call": None if found is None else found[0],
                "near_input": None if found is None else found[1].input,
                "cosine": None if other is None else f"{other.cosine:.4f}",
            }
        )
    return rows
