"""What Converse refuses, with the words of AWS, in calls and in records of batch jobs."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from .kit import Kit

NOVA, MISTRAL = "amazon.nova-lite-v1:0", "mistral.mistral-7b-instruct-v0:2"
TOOLS = {"tools": [{"toolSpec": {"name": "a", "inputSchema": {"json": {"type": "object"}}}}]}
CALL = {"toolUse": {"toolUseId": "t1", "name": "a", "input": {}}}


def user(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


def result(**content: Any) -> dict[str, Any]:
    return {"toolResult": {"toolUseId": "t1", "content": [content]}}


HELLO, HELLO_BACK = user({"text": "Hello"}), assistant({"text": "Hello"})
REFUSED = {
    "blank text": (NOVA, {"messages": [user({"text": " \n"})]}, "messages.0.content.0 is blank"),
    "blank system": (NOVA, {"messages": [HELLO], "system": [{"text": " "}]}, "is blank"),
    "no tools": (
        NOVA,
        {"messages": [HELLO, assistant(CALL), user(result(text="x"))]},
        "The toolConfig field must be defined when using toolUse and toolResult content blocks",
    ),
    "no calls": (
        NOVA,
        {
            "messages": [HELLO, assistant({"text": "x"}), user(result(text="x"))],
            "toolConfig": TOOLS,
        },
        "The number of toolResult blocks at messages.2.content exceeds the number of toolUse",
    ),
    "no object": (
        NOVA,
        {"messages": [HELLO, assistant(CALL), user(result(json=[1]))], "toolConfig": TOOLS},
        "messages.2.content.0.toolResult.content.0.json is invalid. Provide a json object",
    ),
    "roles": (NOVA, {"messages": [HELLO, HELLO]}, "must alternate between user and assistant"),
    "first role": (
        NOVA,
        {"messages": [assistant({"text": "x"})]},
        "must start with a user message",
    ),
    "system": (
        MISTRAL,
        {"messages": [HELLO], "system": [{"text": "Be brief."}]},
        "This model doesn't support system messages",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_conversation_that_aws_refuses(kit: Kit, name: str) -> None:
    """The same in a call, in a stream and in a record, which fails alone."""
    model_id, request, message = REFUSED[name]
    for call in (kit.runtime.converse, kit.runtime.converse_stream):
        with pytest.raises(ClientError) as error:
            call(modelId=model_id, **request)
        assert error.value.response["Error"]["Code"] == "ValidationException"
        assert message in error.value.response["Error"]["Message"]
    records = [
        {"recordId": "bad", "modelInput": request},
        {"recordId": "good", "modelInput": {"messages": [HELLO]}},
    ]
    arn = kit.submit(records, modelId=model_id, modelInvocationType="Converse")
    assert kit.settle(arn)["status"] == "Completed"
    lines = {line["recordId"]: line for line in kit.lines(arn)}
    assert lines["bad"]["error"]["errorCode"] == 400
    assert "modelOutput" in lines["good"]


@pytest.mark.parametrize(
    "request_",
    [
        {"messages": [HELLO, assistant({"text": "x"}), HELLO], "system": [{"text": "Be brief."}]},
        {"messages": [HELLO, assistant(CALL), user(result(json={"a": 1}))], "toolConfig": TOOLS},
        {"messages": [HELLO, assistant({"text": "x"}, CALL), user(result(text=" "))],
         "toolConfig": TOOLS},
    ],
    ids=["system", "json", "text"],
)  # fmt: skip
def test_a_conversation_that_aws_answers(kit: Kit, request_: dict[str, Any]) -> None:
    """Several turns, and calls with their results."""
    assert kit.runtime.converse(modelId=NOVA, **request_)["stopReason"] in ("end_turn", "tool_use")
