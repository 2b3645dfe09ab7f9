"""The pieces of an answer that is there as a whole."""

from __future__ import annotations

import json
import re

from bedrock_emulator.answers.prompt import Completion, Piece, Pieces


def pieces_of(completion: Completion) -> Pieces:
    """Yield an answer piece by piece: its reasoning, its text and its calls; last, the whole."""
    yield from (Piece("reasoning", text) for text in split_text(completion.reasoning))
    yield from (Piece("text", text) for text in split_text(completion.text))
    for call in completion.tool_calls:
        yield Piece("call", "", call.call_id, call.name)
        arguments = json.dumps(call.input, ensure_ascii=False)
        for text in split_text(arguments):
            yield Piece("call", text, call.call_id, call.name)
    yield completion


def last_of(pieces: Pieces) -> Completion:
    """Return the whole answer, which is the last of its pieces."""
    *_, completion = pieces
    assert isinstance(completion, Completion)
    return completion


def split_text(text: str) -> list[str]:
    """Split a text after each run of spaces. The pieces joined are the text again."""
    return re.findall(r"\S*\s+|\S+", text)
