"""InvokeModel, Converse and their streams, over HTTP with boto3."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError, EventStreamError

from .kit import CLAUDE, Kit, ask

TURNS = [{"role": "user", "content": [{"text": "What is the weather in Paris?"}]}]
TOOLS = {
    "tools": [
        {
            "toolSpec": {
                "name": "weather",
                "inputSchema": {
                    "json": {
                        "type": "object",
                        "properties": {"city": {"type": "string"}},
                        "required": ["city"],
                    }
                },
            }
        }
    ]
}


def _refusal(call: Any, **params: Any) -> str:
    with pytest.raises(ClientError) as error:
        call(**params)
    return f"{error.value.response['Error']['Code']} {error.value.response['Error']['Message']}"


def test_token_counts_are_in_body_and_headers(kit: Kit) -> None:
    """Headers have them for families whose bodies do not."""
    reply = kit.runtime.invoke_model(modelId=CLAUDE, body=json.dumps(ask("Hello you")))
    usage = json.loads(reply["body"].read())["usage"]
    headers = reply["ResponseMetadata"]["HTTPHeaders"]
    assert headers["x-amzn-bedrock-input-token-count"] == str(usage["input_tokens"])
    assert headers["x-amzn-bedrock-output-token-count"] == str(usage["output_tokens"])
    assert reply["contentType"] == "application/json"


def test_batch_and_runtime_give_the_same_answer(kit: Kit) -> None:
    """A fallback call gets the answer that the batch job would have given."""
    body = ask("The same question")
    arn = kit.submit([{"recordId": "a", "modelInput": body}])
    kit.settle(arn)
    (line,) = kit.lines(arn)
    reply = kit.runtime.invoke_model(modelId=CLAUDE, body=json.dumps(body))
    answer, in_job = json.loads(reply["body"].read()), line["modelOutput"]
    assert {**answer, "id": in_job["id"], "usage": in_job["usage"]} == in_job
    # Only a call has counts of the prompt cache.
    assert in_job["usage"].items() <= answer["usage"].items()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"[]", "must be a JSON object"),
        (b'{"a": NaN}', "not valid JSON"),
        (json.dumps({**ask("x"), "extra": 1}).encode(), "extra: Extra inputs are not permitted"),
        (json.dumps(ask("x", max_tokens=0)).encode(), "max_tokens"),
        (b"[" * 100_000, "not valid JSON"),
    ],
)
def test_bad_bodies_are_refused(kit: Kit, body: bytes, message: str) -> None:
    """A ValidationException names the problem."""
    refusal = _refusal(kit.runtime.invoke_model, modelId=CLAUDE, body=body)
    assert refusal.startswith("ValidationException")
    assert message in refusal


def test_unknown_models_are_refused(kit: Kit) -> None:
    """With the service's own message."""
    refusal = _refusal(kit.runtime.invoke_model, modelId="nobody.model-v1:0", body=b"{}")
    assert refusal == "ValidationException The provided model identifier is invalid."
    refusal = _refusal(kit.runtime.converse, modelId="amazon.titan-embed-text-v2:0", messages=TURNS)
    assert "doesn't support the model" in refusal


def test_converse_answers_and_calls_tools(kit: Kit) -> None:
    """A text, then a tool call, then a text once the tool's result is there."""
    plain = kit.runtime.converse(modelId=CLAUDE, messages=TURNS, inferenceConfig={"maxTokens": 5})
    assert plain["stopReason"] == "max_tokens"
    assert plain["usage"]["outputTokens"] == 5
    assert plain["usage"]["totalTokens"] == 5 + plain["usage"]["inputTokens"]
    called = kit.runtime.converse(modelId=CLAUDE, messages=TURNS, toolConfig=TOOLS)
    assert called["stopReason"] == "tool_use"
    (block,) = called["output"]["message"]["content"]
    assert set(block["toolUse"]["input"]) == {"city"}
    result = {
        "toolUseId": block["toolUse"]["toolUseId"],
        "content": [{"json": {"sky": "grey"}}],
    }
    turns = [
        *TURNS,
        called["output"]["message"],
        {"role": "user", "content": [{"toolResult": result}]},
    ]
    final = kit.runtime.converse(modelId=CLAUDE, messages=turns, toolConfig=TOOLS)
    assert final["stopReason"] == "end_turn"


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        ([], "messages"),
        ([{"role": "assistant", "content": [{"text": "a"}]}], "must start with a user message"),
        ([{"role": "user", "content": []}], "content field"),
    ],
)
def test_conversations_need_a_users_turn_first(kit: Kit, messages: list[Any], message: str) -> None:
    """The service model cannot express these rules."""
    assert message in _refusal(kit.runtime.converse, modelId=CLAUDE, messages=messages)


def test_streams_are_decoded_by_the_sdk(kit: Kit) -> None:
    """The pieces of a real event stream, joined, are the answer without a stream."""
    body = json.dumps(ask("Stream this"))
    whole = json.loads(kit.runtime.invoke_model(modelId=CLAUDE, body=body)["body"].read())
    reply = kit.runtime.invoke_model_with_response_stream(modelId=CLAUDE, body=body)
    events = [json.loads(event["chunk"]["bytes"]) for event in reply["body"]]
    text = "".join(e["delta"]["text"] for e in events if e["type"] == "content_block_delta")
    assert text == whole["content"][0]["text"]
    metrics = events[-1]["amazon-bedrock-invocationMetrics"]
    assert metrics["outputTokenCount"] == whole["usage"]["output_tokens"]
    refusal = _refusal(
        kit.runtime.invoke_model_with_response_stream,
        modelId="amazon.titan-embed-text-v2:0",
        body=b'{"inputText": "a"}',
    )
    assert "unsupported for streaming" in refusal


def test_converse_streams_text_and_tools(kit: Kit) -> None:
    """messageStart, blocks, messageStop, metadata. A tool's input is JSON in pieces."""
    events = list(kit.runtime.converse_stream(modelId=CLAUDE, messages=TURNS)["stream"])
    whole = kit.runtime.converse(modelId=CLAUDE, messages=TURNS)
    deltas = [e["contentBlockDelta"]["delta"]["text"] for e in events if "contentBlockDelta" in e]
    assert "".join(deltas) == whole["output"]["message"]["content"][0]["text"]
    assert [next(iter(e)) for e in (events[0], events[-2], events[-1])] == [
        "messageStart",
        "messageStop",
        "metadata",
    ]
    assert events[-1]["metadata"]["usage"] == whole["usage"]
    events = list(
        kit.runtime.converse_stream(modelId=CLAUDE, messages=TURNS, toolConfig=TOOLS)["stream"]
    )
    start = next(e["contentBlockStart"] for e in events if "contentBlockStart" in e)
    assert start["start"]["toolUse"]["name"] == "weather"
    pieces = [e["contentBlockDelta"]["delta"] for e in events if "contentBlockDelta" in e]
    assert "city" in json.loads("".join(piece["toolUse"]["input"] for piece in pieces))


def test_a_stream_can_break_in_the_middle(kit: Kit) -> None:
    """An exception event comes after a part of the answer."""
    kit.local.set_faults({"operations": {"ConverseStream": {"stream_error_rate": 1.0}}})
    stream = kit.runtime.converse_stream(modelId=CLAUDE, messages=TURNS)["stream"]
    seen: list[Any] = []
    with pytest.raises(EventStreamError, match="modelStreamErrorException"):
        seen.extend(stream)
    stream = kit.runtime.converse_stream(modelId=CLAUDE, messages=TURNS)["stream"]
    assert "messageStart" in next(iter(stream))


def test_model_limits_hold(kit: Kit) -> None:
    """Claude 4.5 accepts temperature or top_p, not both; Nova Micro has a token limit."""
    both = ask("x", temperature=0.5, top_p=0.5)
    refusal = _refusal(kit.runtime.invoke_model, modelId=CLAUDE, body=json.dumps(both))
    assert "cannot both be specified" in refusal
    older = "us.anthropic.claude-3-7-sonnet-20250219-v1:0"
    kit.runtime.invoke_model(modelId=older, body=json.dumps(both))
    refusal = _refusal(
        kit.runtime.converse,
        modelId="amazon.nova-micro-v1:0",
        messages=TURNS,
        inferenceConfig={"maxTokens": 10_001},
    )
    assert "model limit of 10000" in refusal


@pytest.mark.parametrize(
    "metadata",
    ["no json", "[1]", "{}", '{"a": 1}', '{"": "x"}', '{"a": "{"}', '{"a": "' + "x" * 257 + '"}'],
)
def test_metadata_that_is_no_object_of_short_texts_is_refused(kit: Kit, metadata: str) -> None:
    """In the header of InvokeModel as in the body of Converse."""
    body = json.dumps(ask("x"))
    call = {"modelId": CLAUDE, "body": body}
    refusal = _refusal(kit.runtime.invoke_model, **call, requestMetadata=metadata)
    assert "metadata" in refusal
    good = json.dumps({"bedrock-spark-run": "tickets-1", "stage": ""})
    assert kit.runtime.invoke_model(**call, requestMetadata=good)["body"].read()
