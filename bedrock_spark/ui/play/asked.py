"""What the page of the playground sends: a question and its options, read from JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from bedrock_spark import limits
from bedrock_spark.aws.model_family import ServedModel
from bedrock_spark.errors import ConfigError
from bedrock_spark.families import bare_model_id
from bedrock_spark.families.turns import ToolCall, Turn
from bedrock_spark.playground.attached import Files, with_base64, with_references
from bedrock_spark.playground.conversation import question_body
from bedrock_spark.playground.json_text import read_json
from bedrock_spark.playground.offered_model import EMBEDDING, TABS
from bedrock_spark.playground.options import DEFAULT_MAX_TOKENS
from bedrock_spark.playground.parameters import option_of, parameters_of
from bedrock_spark.starter.from_request import TriedRequest

# As many as a person compares by eye; each is a call.
MOST_TEXTS = 50


class AskedTurn(msgspec.Struct, frozen=True):
    """An earlier turn as the page sends it: see `Turn`.

    files: the ids of those of its question
    model: that gave the answer; the blocks that it has signed are sent to no other
    """

    question: str
    answer: str
    calls: list[ToolCall] = []
    results: list[str] = []
    files: list[str] = []
    model: str = ""
    signed: list[dict[str, Any]] = []


class Asked(msgspec.Struct, frozen=True):
    """A question as the page sends it.

    fields: the text of each field of the form, by the parameter's name
    turns: the earlier turns of a chat; files: the ids of the files of the question
    body: the request as JSON if it was edited; None if the form makes it
    """

    model: str
    tab: str
    question: str = ""
    converse: bool = False
    fields: dict[str, str] = {}
    turns: list[AskedTurn] = []
    files: list[str] = []
    body: str | None = None

    @property
    def all_files(self) -> list[str]:
        """Return the ids of all files of the conversation."""
        return [*(name for turn in self.turns for name in turn.files), *self.files]


class Sent(msgspec.Struct, frozen=True):
    """Requests to send: the body of each as JSON.

    id: by which the page stops them
    """

    model: str
    tab: str
    bodies: list[str]
    converse: bool = False
    id: str = ""


def read_asked(data: bytes) -> Asked:
    """Return a question. Raises ConfigError for anything else."""
    asked: Asked = _checked(_decoded(data, Asked))
    return asked


def read_sent(data: bytes) -> Sent:
    """Return requests. Raises ConfigError for anything else."""
    sent: Sent = _checked(_decoded(data, Sent))
    if not 1 <= len(sent.bodies) <= MOST_TEXTS:
        raise ConfigError(f"send 1 to {MOST_TEXTS} requests at a time, not {len(sent.bodies)}")
    return sent


def _decoded(data: bytes, kind: Any) -> Any:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise ConfigError(f"the page sent a request that cannot be read: {exc}") from None


def _checked(asked: Any) -> Any:
    if asked.tab not in TABS:
        raise ConfigError(f"the playground has no tab {asked.tab!r}")
    if not asked.model.strip():
        raise ConfigError("choose a model, or write its id or ARN")
    return asked


@dataclass(frozen=True)
class Built:
    """The requests that a question makes.

    bodies: decoded, with references in the place of files; several only for the texts of embeddings
    ignored: the names of the fields that are filled and that the model does not take
    """

    bodies: tuple[Mapping[str, Any], ...]
    ignored: tuple[str, ...] = ()


def options_of(asked: Asked, model: ServedModel) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the options that the fields give, and the names of those that are not taken.

    Raises ConfigError that names a field with a wrong value.
    """
    parameters = {p.name: p for p in parameters_of(model.family, bare_model_id(model.base))}
    filled = {name: text for name, text in asked.fields.items() if text.strip()}
    options = {
        name: option_of(parameters[name], text)
        for name, text in filled.items()
        if name in parameters
    }
    return options, tuple(name for name in filled if name not in parameters)


def build(asked: Asked, model: ServedModel, files: Files) -> Built:
    """Return the requests of a question. files: all of the conversation. Raises ConfigError."""
    options, ignored = options_of(asked, model)
    turns = [_turn_of(turn, asked.model, files) for turn in asked.turns]
    own = [files[name] for name in asked.files]
    bodies = []
    for text in texts_of(asked):
        body = question_body(model, text, options, turns, own, files)
        if len(msgspec.json.encode(body)) > limits.MAX_BODY_BYTES:
            raise ConfigError(
                f"the request has more than {limits.MAX_BODY_BYTES:,} bytes, which is the most "
                "that the service takes; attach fewer or smaller files, or begin a new conversation"
            )
        bodies.append(msgspec.json.decode(msgspec.json.encode(with_references(body, files))))
    return Built(tuple(bodies), ignored)


def _turn_of(turn: AskedTurn, model: str, files: Files) -> Turn:
    images = tuple(name for name in turn.files if files[name].is_image)
    documents = tuple(name for name in turn.files if not files[name].is_image)
    calls, results = tuple(turn.calls), tuple(turn.results)
    signed = tuple(turn.signed) if turn.model == model else ()
    return Turn(turn.question, turn.answer, calls, results, images, documents, signed)


def texts_of(asked: Asked) -> list[str]:
    """Return the questions: one, or for embeddings one in each line that is not blank."""
    if asked.tab != EMBEDDING:
        return [asked.question]
    lines = [line.strip() for line in re.split(r"\r\n|\r|\n", asked.question) if line.strip()]
    if len(lines) > MOST_TEXTS:
        raise ConfigError(f"compare at most {MOST_TEXTS} texts at a time, not {len(lines)}")
    return lines or [""]


def tried(asked: Asked, model: ServedModel, files: Files) -> TriedRequest:
    """Return what becomes a config: files of the question become columns of the table.

    Raises ConfigError if an edited body is not JSON, and for files of earlier turns.
    """
    options, _ = options_of(asked, model)
    question = texts_of(asked)[-1]
    body: Mapping[str, Any] | None = None
    is_whole = asked.body is not None or bool(asked.turns)
    if is_whole and asked.all_files:
        raise ConfigError(
            "a config has no place for the files of a conversation, or of a request that was "
            "edited; ask the question in a new conversation"
        )
    if asked.body is not None:
        body = body_of(asked.body)
    elif asked.turns:
        body = build(asked, model, files).bodies[0]
    elif model.family.read_chunk is not None:
        options.setdefault("max_tokens", DEFAULT_MAX_TOKENS)
    own = [files[name] for name in asked.files]
    for key, name, is_image in (("images", "image", True), ("documents", "document", False)):
        if any(file.is_image == is_image for file in own):
            options[key] = [name]
    return TriedRequest(
        model.id, model.family.name, question, options, body, bare_model_id(model.base)
    )


def body_of(text: str) -> dict[str, Any]:
    """Return a request that was written as JSON. Raises ConfigError if it is no plain object."""
    body = read_json(text, "the request as JSON")
    if not isinstance(body, dict):
        raise ConfigError("the request as JSON: must be an object in braces")
    return body


def pretty(body: Mapping[str, Any]) -> str:
    """Return a request as text that a person edits."""
    return json.dumps(body, indent=2, ensure_ascii=False)


def encoded(bodies: Sequence[Mapping[str, Any]], files: Files) -> list[bytes]:
    """Return requests as they are sent, with the bytes of the files that they name."""
    whole = (with_base64(body, files) for body in bodies)
    return [json.dumps(body, ensure_ascii=False).encode() for body in whole]
