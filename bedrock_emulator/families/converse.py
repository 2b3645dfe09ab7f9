"""Converse: one request and response shape for every family that has text.

The request is checked against the service model's own ConverseRequest, in a batch with unknown
keys refused: a write-up on batch records quotes `#: extraneous key [...] is not permitted`.
"""

from __future__ import annotations

import time
from typing import Any

from bedrock_emulator.answers.prompt import Prompt
from bedrock_emulator.families.family import Answer, BodyError, Context
from bedrock_emulator.families.nova import STOP, content_of, tools_of, turn_of, usage_of
from bedrock_emulator.wire.service_model import service_model
from bedrock_emulator.wire.validation import violations

# Every member of the content union; batch output lists all of them, null where absent.
_CONTENT = (
    "audio", "cachePoint", "citationsContent", "document", "guardContent", "image",
    "reasoningContent", "searchResult", "text", "toolResult", "toolUse", "video",
)  # fmt: skip
_DEFAULT_MAX_TOKENS = 512


def check_body(body: Any) -> None:
    """Raise BodyError if a batch record's modelInput is not a Converse request without modelId."""
    if not isinstance(body, dict):
        raise BodyError("Malformed input request: the body must be a JSON object")
    shape = service_model("bedrock-runtime").shape_for("ConverseRequest")
    if "modelId" in body:
        raise BodyError("Malformed input request: #: extraneous key [modelId] is not permitted")
    found = list(violations({**body, "modelId": "m"}, shape, "", closed=True))
    if found:
        raise BodyError(f"Malformed input request: {'; '.join(found[:3])}")
    check_conversation(body)


def check_conversation(body: dict[str, Any]) -> None:
    """Raise BodyError on what the shapes cannot say: who begins, and that there is content."""
    messages = body.get("messages") or []
    if not messages:
        raise BodyError("The messages field must not be empty: a conversation needs a turn.")
    if messages[0].get("role") != "user":
        raise BodyError(
            "A conversation must start with a user message. "
            "Try again with a conversation that starts with a user message."
        )
    for index, message in enumerate(messages):
        if not message.get("content"):
            raise BodyError(
                f"The content field in the Message object at messages.{index} is empty."
            )


def prompt_of(body: dict[str, Any]) -> Prompt:
    """Return what a Converse request asks."""
    config = body.get("inferenceConfig") or {}
    tools, choice = tools_of(body.get("toolConfig"))
    return Prompt(
        turns=tuple(turn_of(m["role"], _present(m["content"])) for m in body["messages"]),
        system="\n".join(part.get("text") or "" for part in body.get("system") or []),
        max_tokens=config.get("maxTokens") or _DEFAULT_MAX_TOKENS,
        stop_sequences=tuple(config.get("stopSequences") or ()),
        temperature=config.get("temperature"),
        top_p=config.get("topP"),
        tools=tools,
        tool_choice=choice,
        schema=_schema(body),
    )


def _present(content: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in block.items() if v is not None} for block in content]


def _schema(body: dict[str, Any]) -> dict[str, Any] | None:
    structure = ((body.get("outputConfig") or {}).get("textFormat") or {}).get("structure") or {}
    schema = (structure.get("jsonSchema") or {}).get("schema")
    if not isinstance(schema, str):
        return None
    # The service takes this schema as text.
    from bedrock_emulator.wire.request_parsing import load_json

    value = load_json(schema)
    return value if isinstance(value, dict) else None


def answer(body: dict[str, Any], context: Context) -> Answer:
    """Answer in the shape of ConverseResponse."""
    started = time.monotonic()
    completion = context.backend.complete(context.model_id, prompt_of(body))
    found = {
        "output": {"message": {"role": "assistant", "content": content_of(completion)}},
        "stopReason": STOP[completion.stop],
        "usage": usage_of(completion),
        "metrics": {"latencyMs": int((time.monotonic() - started) * 1000)},
    }
    return Answer(found, completion.input_tokens, completion.output_tokens)


def as_batch_output(body: dict[str, Any]) -> dict[str, Any]:
    """Return a Converse response as batch output spells it: every union member, and null counters.

    As a public test suite says a downloaded result looked.
    """
    message = body["output"]["message"]
    content = [{name: block.get(name) for name in _CONTENT} for block in message["content"]]
    usage = {
        "serverToolUsage": {"webSearchRequests": None},
        "cacheReadInputTokens": None,
        "cacheWriteInputTokens": None,
        "cacheReadInputTokenCount": None,
        "cacheWriteInputTokenCount": None,
        "cacheDetails": None,
        **body["usage"],
    }
    return {
        "output": {"message": {"role": message["role"], "content": content}},
        "stopReason": body["stopReason"],
        "usage": usage,
    }
