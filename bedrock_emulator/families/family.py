"""A model family: which model ids it serves, its request body, and how it answers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from bedrock_emulator.answers.prompt import Backend, CacheTokens, Pieces, Prompt
from bedrock_emulator.answers.script import AnswerScript


class Body(BaseModel):
    """A request body that refuses unknown keys, as the models on Bedrock do."""

    model_config = ConfigDict(extra="forbid")


class OpenBody(BaseModel):
    """A request body, or a part of one, that accepts unknown keys."""

    model_config = ConfigDict(extra="allow")


@dataclass(frozen=True)
class Answer:
    """A response body and its token counts.

    cache: set if the model has a prompt cache; input_tokens are without these tokens
    """

    body: dict[str, Any]
    input_tokens: int
    output_tokens: int
    cache: CacheTokens | None = None


@dataclass(frozen=True)
class Head:
    """What is known of an answer when its stream begins.

    identity: differs from request to request
    cache: set if the model has a prompt cache; input_tokens are without these tokens
    """

    model_id: str
    identity: str
    input_tokens: int
    cache: CacheTokens | None = None


@dataclass(frozen=True)
class Context:
    """The model that a request names, and the backend that answers it.

    script: answers that come before the backend's, if there are any
    """

    model_id: str
    backend: Backend
    script: AnswerScript | None = None

    def for_body(self, body: Any, *, waits: bool) -> Context:
        """Return the context of one request, which the answer script may answer.

        waits: whether the script's delays apply
        """
        if self.script is None:
            return self
        return Context(self.model_id, self.script.backend(self.backend, body, waits=waits))


@dataclass(frozen=True)
class Family:
    """One family.

    `models` matches the ids of its foundation models. `prompt` converts a request body to a prompt;
    None for embeddings and images. `stream` writes the pieces of an answer as the events of a
    response stream, each as soon as its piece is there; None if the family does not stream.
    `backend` is what stands before the backend that answers, for InvokeModel.
    """

    name: str
    models: re.Pattern[str]
    body: type[BaseModel]
    answer: Callable[[Any, Context], Answer]
    prompt: Callable[[Any], Prompt] | None = None
    stream: Callable[[Head, Pieces], Iterator[dict[str, Any]]] | None = None
    backend: Callable[[Backend], Backend] = lambda backend: backend
    input_modalities: tuple[str, ...] = ("TEXT",)
    output_modalities: tuple[str, ...] = ("TEXT",)
    has_converse: bool = False
    tags: tuple[str, ...] = field(default=())


class BodyError(Exception):
    """A body that the model refuses: error 400 for a record, ValidationException for a call."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


def read_body(family: Family, body: Any) -> Any:
    """Return the validated body. Raise BodyError with the first three problems."""
    if not isinstance(body, dict):
        raise BodyError("Malformed input request: the body must be a JSON object")
    try:
        return family.body.model_validate(body)
    except ValidationError as exc:
        raise BodyError(describe_problems(exc)) from exc


def describe_problems(error: ValidationError) -> str:
    """Return the first three problems in the format that Anthropic's models on Bedrock use.

    The input values are left out: a message may be logged, and prompts must not be.
    """
    problems = error.errors(include_url=False, include_input=False, include_context=False)
    return "; ".join(
        f"{'.'.join(str(name) for name in problem['loc'])}: {problem['msg']}"
        for problem in problems[:3]
    )
