"""Converse: one request and response format for every family that generates text.

A request is checked against ConverseRequest of the service model. A batch record may not have
unknown keys, either: an article about batch records quotes the message
`#: extraneous key [...] is not permitted`.
"""

from __future__ import annotations

import time
from typing import Any

from bedrock_emulator.answers.prompt import Prompt
from bedrock_emulator.answers.thinking import tokens_of_budget, tokens_of_effort
from bedrock_emulator.families.content import turn_of
from bedrock_emulator.families.conversation import check_conversation
from bedrock_emulator.families.family import Answer, BodyError, Context
from bedrock_emulator.families.nova import STOP_REASONS, content_of, tools_of, usage_of
from bedrock_emulator.wire.service_model import service_model
from bedrock_emulator.wire.validation import violations

# Every member of the content union. Batch output lists them all, with null for absent ones.
_CONTENT = (
    "audio", "cachePoint", "citationsContent", "document", "guardContent", "image",
    "reasoningContent", "searchResult", "text", "toolResult", "toolUse", "video",
)  # fmt: skip
_DEFAULT_MAX_TOKENS = 512


def check_body(body: Any, model_id: str) -> None:
    """Raise BodyError unless a batch record's modelInput is a Converse request without modelId.

    model_id: the model of the job
    """
    if not isinstance(body, dict):
        raise BodyError("Malformed input request: the body must be a JSON object")
    shape = service_model("bedrock-runtime").shape_for("ConverseRequest")
    if "modelId" in body:
        raise BodyError("Malformed input request: #: extraneous key [modelId] is not permitted")
    problems = list(violations({**body, "modelId": "m"}, shape, "", closed=True))
    if problems:
        raise BodyError(f"Malformed input request: {'; '.join(problems[:3])}")
    check_conversation(body, model_id)


def prompt_of(body: dict[str, Any]) -> Prompt:
    """Convert a Converse request to a prompt."""
    config = body.get("inferenceConfig") or {}
    tools, choice = tools_of(body.get("toolConfig"))
    return Prompt(
        turns=tuple(turn_of(m["role"], _present(m["content"])) for m in body["messages"]),
        system="\n".join(block.get("text") or "" for block in body.get("system") or []),
        max_tokens=config.get("maxTokens") or _DEFAULT_MAX_TOKENS,
        stop_sequences=tuple(config.get("stopSequences") or ()),
        temperature=config.get("temperature"),
        top_p=config.get("topP"),
        tools=tools,
        tool_choice=choice,
        schema=_schema(body),
        thinking=_thinking_tokens(body),
    )


def _thinking_tokens(body: dict[str, Any]) -> int:
    """Return the tokens of thinking that a request asks for, in the way of any model."""
    extra = body.get("additionalModelRequestFields")
    extra = extra if isinstance(extra, dict) else {}
    thinking, effort = extra.get("thinking"), (body.get("outputConfig") or {}).get("effort")
    budget = thinking.get("budget_tokens") if isinstance(thinking, dict) else None
    if isinstance(budget, int):
        return tokens_of_budget(budget)
    effort = effort or extra.get("reasoning_effort") or extra.get("reasoning_config")
    return tokens_of_effort(effort) if isinstance(effort, str) else 0


def _present(content: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in block.items() if v is not None} for block in content]


def _schema(body: dict[str, Any]) -> dict[str, Any] | None:
    structure = ((body.get("outputConfig") or {}).get("textFormat") or {}).get("structure") or {}
    schema = (structure.get("jsonSchema") or {}).get("schema")
    if not isinstance(schema, str):
        return None
    # The service accepts this schema as a JSON text.
    from bedrock_emulator.wire.request_parsing import load_json

    value = load_json(schema)
    return value if isinstance(value, dict) else None


def answer(body: dict[str, Any], context: Context) -> Answer:
    """Answer a request in the format of ConverseResponse."""
    started = time.monotonic()
    completion = context.backend.complete(context.model_id, prompt_of(body))
    response = {
        "output": {"message": {"role": "assistant", "content": content_of(completion)}},
        "stopReason": STOP_REASONS[completion.stop],
        "usage": usage_of(completion),
        "metrics": {"latencyMs": int((time.monotonic() - started) * 1000)},
    }
    return Answer(response, completion.input_tokens, completion.output_tokens, completion.cache)


def as_batch_output(body: dict[str, Any]) -> dict[str, Any]:
    """Return a Converse response as batch output spells it: every union member, and null counters.

    Source: a public test suite that describes a downloaded result.
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
