"""What a call of the runtime asks: the model that it names, and a request that it accepts."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bedrock_emulator.answers.prompt import Prompt, PromptError
from bedrock_emulator.errors import invalid
from bedrock_emulator.families import converse
from bedrock_emulator.families.batch_rules import check_model_limits
from bedrock_emulator.families.conversation import check_conversation
from bedrock_emulator.families.family import Answer, BodyError, Context, Family, read_body
from bedrock_emulator.models.provisioned import Provisioned
from bedrock_emulator.state.paid_answers import request_digest
from bedrock_emulator.wire.request_parsing import load_json


@dataclass(frozen=True)
class Target:
    """The model that answers a request.

    `provisioned` is set if the request names the ARN of a provisioned throughput; `billed_as` is
    the id or ARN that the request names.
    """

    family: Family
    context: Context
    provisioned: Provisioned | None
    billed_as: str
    region: str


@dataclass(frozen=True)
class Question:
    """A request that the model accepts.

    prompt: None for embeddings and images; digest: of the body, for the bill
    """

    target: Target
    body: Any
    prompt: Prompt | None
    digest: bytes
    is_converse: bool
    answer: Callable[[Context], Answer]


def question_of_body(target: Target, raw: bytes) -> Question:
    """Read the body of InvokeModel. Raise ValidationException if the model refuses it."""
    body = load_json(raw)
    family = target.family
    try:
        checked = read_body(family, body)
        check_model_limits(target.context.model_id, body, is_converse=False)
    except BodyError as exc:
        raise invalid(exc.message) from exc
    return Question(
        target,
        body,
        family.prompt(checked) if family.prompt else None,
        request_digest(body, is_converse=False),
        False,
        lambda context: family.answer(checked, context),
    )


def blob(text: str | None) -> bytes:
    """Return a blob inside JSON, where it is base64."""
    try:
        return base64.b64decode(text or "", validate=True)
    except ValueError as exc:
        raise invalid("The body must be base64.") from exc


def question_of_conversation(target: Target, body: dict[str, Any]) -> Question:
    """Read a Converse request. Raise ValidationException if the model refuses it."""
    if not target.family.has_converse:
        raise invalid("This action doesn't support the model that you provided.")
    try:
        check_conversation(body, target.context.model_id)
        check_model_limits(target.context.model_id, body, is_converse=True)
        prompt = converse.prompt_of(body)
    except (BodyError, PromptError) as exc:
        raise invalid(exc.message) from exc
    return Question(
        target,
        body,
        prompt,
        request_digest(body, is_converse=True),
        True,
        lambda context: converse.answer(body, context),
    )
