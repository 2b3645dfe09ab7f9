"""What Converse refuses in a conversation, beyond what the service model can express.

The messages are AWS's own, as users report them: earendil-works/pi #4975, OpenHands #5339 (blank
text); langgenius/dify #17545 (toolConfig); strands-agents/sdk-python #1435 (results without calls);
sigoden/aichat #1550 (a result that is no object); langchain-ai/langchain-aws #130 (roles);
danny-avila/LibreChat #6456 (system prompts).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from bedrock_emulator.families.family import BodyError

# Amazon Bedrock user guide, "Supported models and model features": models without system prompts.
_WITHOUT_SYSTEM = re.compile(
    r"amazon\.titan-t.*|mistral\.(mistral-7b|mixtral-8x7b)-.*|cohere\.command-(light-)?text-.*"
    r"|ai21\.j2-.*"
)


def check_conversation(body: dict[str, Any], model_id: str) -> None:
    """Raise BodyError if a Converse request breaks one of the rules. Its types must be right."""
    messages = body.get("messages") or []
    if not messages:
        raise BodyError("The messages field must not be empty: a conversation needs a turn.")
    if messages[0].get("role") != "user":
        raise BodyError(
            "A conversation must start with a user message. "
            "Try again with a conversation that starts with a user message."
        )
    if body.get("system") and _WITHOUT_SYSTEM.fullmatch(model_id):
        raise BodyError(
            "This model doesn't support system messages. Try again without a system message or "
            "use a model that supports system messages."
        )
    _check_system(body.get("system") or [])
    for index, message in enumerate(messages):
        before = messages[index - 1] if index else {}
        if message.get("role") == before.get("role"):
            raise BodyError(
                "A conversation must alternate between user and assistant roles. Make sure the "
                "conversation alternates between user and assistant roles and try again."
            )
        _check_message(message, before, f"messages.{index}")
    kinds = {kind for message in messages for kind, _ in _blocks(message)}
    if kinds & {"toolUse", "toolResult"} and not body.get("toolConfig"):
        raise BodyError(
            "The toolConfig field must be defined when using toolUse and toolResult content blocks."
        )


def _check_system(system: list[dict[str, Any]]) -> None:
    for index, block in enumerate(system):
        _check_text(block.get("text"), "SystemContentBlock", f"system.{index}")


def _check_message(message: dict[str, Any], before: dict[str, Any], place: str) -> None:
    if not message.get("content"):
        raise BodyError(f"The content field in the Message object at {place} is empty.")
    calls = sum(kind == "toolUse" for kind, _ in _blocks(before))
    results = [block for kind, block in _blocks(message) if kind == "toolResult"]
    if len(results) > calls:
        raise BodyError(
            f"The number of toolResult blocks at {place}.content exceeds the number of toolUse "
            "blocks of previous turn."
        )
    for index, block in enumerate(message["content"]):
        inside = f"{place}.content.{index}"
        _check_text(block.get("text"), "ContentBlock", inside)
        result = block.get("toolResult") or {}
        for number, part in enumerate(result.get("content") or []):
            if part.get("json") is not None and not isinstance(part["json"], dict):
                raise BodyError(
                    f"The format of the value at {inside}.toolResult.content.{number}.json is "
                    "invalid. Provide a json object for the field and try again."
                )


def _check_text(text: Any, kind: str, place: str) -> None:
    if isinstance(text, str) and not text.strip():
        raise BodyError(
            f"The text field in the {kind} object at {place} is blank. Add text to the text "
            "field, and try again."
        )


def _blocks(message: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield kind and value of each member of a message's blocks that is not null."""
    for block in message.get("content") or []:
        yield from ((kind, value) for kind, value in block.items() if value is not None)
