"""What a model family is: whose models, which body, which answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from bedrock_emulator.answers.prompt import Backend, Prompt


class Body(BaseModel):
    """A request body: unknown keys are refused, as the models on Bedrock do."""

    model_config = ConfigDict(extra="forbid")


class OpenBody(BaseModel):
    """A part of a body in which keys are not checked."""

    model_config = ConfigDict(extra="allow")


@dataclass(frozen=True)
class Answer:
    """A response body and what it cost."""

    body: dict[str, Any]
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True)
class Context:
    """Which model is asked, and who answers."""

    model_id: str
    backend: Backend


@dataclass(frozen=True)
class Family:
    """One family. `stream` cuts a response body into the events of a response stream."""

    name: str
    models: re.Pattern[str]
    body: type[BaseModel]
    answer: Callable[[Any, Context], Answer]
    prompt: Callable[[Any], Prompt] | None = None
    stream: Callable[[Answer], Iterator[dict[str, Any]]] | None = None
    input_modalities: tuple[str, ...] = ("TEXT",)
    output_modalities: tuple[str, ...] = ("TEXT",)
    has_converse: bool = False
    tags: tuple[str, ...] = field(default=())


class BodyError(Exception):
    """A body that the model refuses: error 400 of a record, ValidationException of a call."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


def read_body(family: Family, body: Any) -> Any:
    """Return the checked body; raises BodyError with the first few complaints."""
    if not isinstance(body, dict):
        raise BodyError("Malformed input request: the body must be a JSON object")
    try:
        return family.body.model_validate(body)
    except ValidationError as exc:
        raise BodyError(complaints(exc)) from exc


def complaints(error: ValidationError) -> str:
    """Return what pydantic found, in the form Anthropic's models on Bedrock use.

    Without the input values: prompts do not belong in messages that may be logged.
    """
    found = error.errors(include_url=False, include_input=False, include_context=False)
    told = [f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in found[:3]]
    return "; ".join(told)


def text_of(content: Any) -> str:
    """Return the text in a message's content: a string or a list of parts."""
    if isinstance(content, str):
        return content
    told = []
    for part in content or []:
        if isinstance(part, str):
            told.append(part)
        elif isinstance(part, dict):
            text = part.get("text")
            kind = part.get("type") or next(iter(part), "part")
            told.append(text if isinstance(text, str) else f"[{kind}]")
    return "\n".join(told)
