"""Answers from an OpenAI-compatible server: requests, replies and failures."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .kit import CLAUDE, Kit, ask
from .openai_stub import asking, serving


class Stub(ThreadingHTTPServer):
    """A small OpenAI-compatible server that records its requests."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.received: list[tuple[str, dict[str, Any]]] = []
        self.status = 200
        self.reasoning = ""

    def answer(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        self.received.append((path, body))
        if path.endswith("/embeddings"):
            return {"data": [{"embedding": [3.0, 4.0]}]}
        message: dict[str, Any] = {"role": "assistant", "content": "From the stub."}
        if self.reasoning:
            message["reasoning_content"] = self.reasoning
        reason = "length" if body["max_tokens"] == 1 else "stop"
        if "tools" in body:
            call = {"name": body["tools"][0]["function"]["name"], "arguments": '{"city": "Rome"}'}
            message = {"content": None, "tool_calls": [{"id": "call_1", "function": call}]}
            reason = "tool_calls"
        usage = {"prompt_tokens": 11, "completion_tokens": 4}
        return {"choices": [{"message": message, "finish_reason": reason}], "usage": usage}


class _Handler(BaseHTTPRequestHandler):
    server: Stub

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = json.dumps(self.server.answer(self.path, body)).encode()
        self.send_response(self.server.status)
        if self.server.status == 302:
            self.send_header("Location", "http://127.0.0.1:9/elsewhere")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture(scope="module")
def server() -> Iterator[Stub]:
    with serving(Stub()) as stub:
        yield stub


@pytest.fixture(scope="module")
def emulator(server: Stub) -> Iterator[Kit]:
    with asking(server, "--backend-model", "tiny") as kit:
        yield kit


@pytest.fixture(autouse=True)
def reset(server: Stub) -> None:
    server.received.clear()
    server.status, server.reasoning = 200, ""


def test_a_request_is_forwarded_and_answered(emulator: Kit, server: Stub) -> None:
    """All parts of the prompt, the configured model, and the server's own token counts."""
    body = ask("Hello", system="Be short.", temperature=0.5, stop_sequences=["END"], max_tokens=1)
    reply = emulator.runtime.invoke_model(modelId=CLAUDE, body=json.dumps(body))
    answer = json.loads(reply["body"].read())
    assert answer["content"] == [{"type": "text", "text": "From the stub."}]
    assert answer["stop_reason"] == "max_tokens"
    assert (answer["usage"]["input_tokens"], answer["usage"]["output_tokens"]) == (11, 4)
    ((path, sent),) = server.received
    assert path == "/v1/chat/completions"
    assert sent == {
        "model": "tiny",
        "messages": [
            {"role": "system", "content": "Be short."},
            {"role": "user", "content": "Hello"},
        ],
        "max_tokens": 1,
        "stop": ["END"],
        "temperature": 0.5,
    }


def test_batch_records_are_forwarded_too(emulator: Kit, server: Stub) -> None:
    """Each record is sent once."""
    arn = emulator.submit(5)
    emulator.settle(arn)
    texts = {line["modelOutput"]["content"][0]["text"] for line in emulator.lines(arn)}
    assert texts == {"From the stub."}
    assert len(server.received) == 5


def test_tools_are_sent_and_calls_are_returned(emulator: Kit, server: Stub) -> None:
    """Converse's format is converted to OpenAI's format and back."""
    spec = {"name": "weather", "inputSchema": {"json": {"type": "object"}}}
    reply = emulator.runtime.converse(
        modelId=CLAUDE,
        messages=[{"role": "user", "content": [{"text": "weather?"}]}],
        toolConfig={"tools": [{"toolSpec": spec}], "toolChoice": {"tool": {"name": "weather"}}},
    )
    assert reply["stopReason"] == "tool_use"
    (block,) = reply["output"]["message"]["content"]
    assert block["toolUse"]["input"] == {"city": "Rome"}
    assert server.received[0][1]["tool_choice"]["function"]["name"] == "weather"


def test_embeddings_are_requested_and_normalised(emulator: Kit, server: Stub) -> None:
    """They keep the dimensions of the server's vector."""
    reply = emulator.runtime.invoke_model(
        modelId="amazon.titan-embed-text-v2:0", body=json.dumps({"inputText": "a"})
    )
    assert json.loads(reply["body"].read())["embedding"] == [0.6, 0.8]
    assert server.received == [
        ("/v1/embeddings", {"model": "tiny", "input": "a", "dimensions": 1024})
    ]


@pytest.mark.parametrize(
    ("status", "code"),
    [(429, "ThrottlingException"), (500, "ModelErrorException"), (302, "ModelErrorException")],
)
def test_server_failures_become_model_errors(
    emulator: Kit, server: Stub, status: int, code: str
) -> None:
    """A redirect is a failure, too: content goes to the configured server only."""
    server.status = status
    with pytest.raises(ClientError) as error:
        emulator.runtime.invoke_model(modelId=CLAUDE, body=json.dumps(ask("x")))
    assert error.value.response["Error"]["Code"] == code
    arn = emulator.submit(1)
    assert emulator.settle(arn)["errorRecordCount"] == 1
    (line,) = emulator.lines(arn)
    assert line["error"]["retryable"] is True


PIXEL = b"\x89PNG\r\n\x1a\n" + bytes(8)
PNG = base64.b64encode(PIXEL).decode()
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}}
# One conversation in three APIs: a question with a picture and a file, a call, and its result.
CONVERSATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "Converse": (
        "amazon.nova-lite-v1:0",
        {
            "messages": [
                {"role": "user", "content": [
                    {"text": "Where is this?"},
                    {"image": {"format": "png", "source": {"bytes": PIXEL}}},
                    {"document": {"format": "txt", "name": "a", "source": {"bytes": b"A hint."}}},
                ]},
                {"role": "assistant", "content": [
                    {"reasoningContent": {"reasoningText": {"text": "Let me look."}}},
                    {"text": "I look it up."},
                    {"toolUse": {"toolUseId": "t1", "name": "look_up", "input": {"city": "Rome"}}},
                ]},
                {"role": "user", "content": [
                    {"toolResult": {"toolUseId": "t1", "content": [{"json": {"found": True}}]}},
                    {"text": "And now?"},
                ]},
            ],
            "toolConfig": {"tools": [
                {"toolSpec": {"name": "look_up", "inputSchema": {"json": WEATHER}}}
            ]},
        },
    ),
    "Messages": (
        CLAUDE,
        {
            **ask(""),
            "messages": [
                {"role": "user", "content": [
                    {"type": "text", "text": "Where is this?"},
                    {"type": "image",
                     "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
                    {"type": "document",
                     "source": {"type": "text", "media_type": "text/plain", "data": "A hint."}},
                ]},
                {"role": "assistant", "content": [
                    {"type": "thinking", "thinking": "Let me look.", "signature": "x"},
                    {"type": "text", "text": "I look it up."},
                    {"type": "tool_use", "id": "t1", "name": "look_up", "input": {"city": "Rome"}},
                ]},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "t1", "content": '{"found": true}'},
                    {"type": "text", "text": "And now?"},
                ]},
            ],
            "tools": [{"name": "look_up", "input_schema": WEATHER}],
        },
    ),
    "chat": (
        "qwen.qwen3-32b-v1:0",
        {
            "messages": [
                {"role": "user", "content": [
                    {"type": "text", "text": "Where is this?"},
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
                    {"type": "text", "text": "A hint."},
                ]},
                {"role": "assistant", "content": "I look it up.", "tool_calls": [
                    {"id": "t1", "type": "function",
                     "function": {"name": "look_up", "arguments": '{"city": "Rome"}'}}
                ]},
                {"role": "tool", "tool_call_id": "t1", "content": '{"found": true}'},
                {"role": "user", "content": "And now?"},
            ],
            "tools": [{"type": "function",
                       "function": {"name": "look_up", "parameters": WEATHER}}],
        },
    ),
}  # fmt: skip


def send(kit: Kit, name: str) -> dict[str, Any]:
    """Send a conversation by its API; return the answer."""
    model_id, body = CONVERSATIONS[name]
    if name == "Converse":
        answer: dict[str, Any] = kit.runtime.converse(modelId=model_id, **body)
        return answer
    reply = kit.runtime.invoke_model(modelId=model_id, body=json.dumps(body))
    value: dict[str, Any] = json.loads(reply["body"].read())
    return value


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_a_conversation_passes_through_whole(emulator: Kit, server: Stub, name: str) -> None:
    """Pictures, files, calls and results reach the server in its own form, from every API."""
    send(emulator, name)
    ((_, sent),) = server.received
    question, call, result, last = sent["messages"]
    assert question["role"] == "user"
    assert question["content"] == [
        {"type": "text", "text": "Where is this?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
        {"type": "text", "text": "A hint."},
    ]
    assert (call["role"], call["content"]) == ("assistant", "I look it up.")
    assert call.get("reasoning_content") == (None if name == "chat" else "Let me look.")
    function = {"name": "look_up", "arguments": '{"city": "Rome"}'}
    assert call["tool_calls"] == [{"id": "t1", "type": "function", "function": function}]
    assert result == {"role": "tool", "tool_call_id": "t1", "content": '{"found": true}'}
    assert last == {"role": "user", "content": "And now?"}


def test_the_reasoning_of_the_server_comes_back(emulator: Kit, server: Stub) -> None:
    """As a block of its own, and as tokens."""
    server.reasoning = "It asks where this is."
    talk = [{"role": "user", "content": [{"text": "Where?"}]}]
    answer = emulator.runtime.converse(modelId="amazon.nova-lite-v1:0", messages=talk)
    thought, text = answer["output"]["message"]["content"]
    assert thought["reasoningContent"]["reasoningText"]["text"] == server.reasoning
    assert text == {"text": "From the stub."}


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_made_up_answers_look_at_results(kit: Kit, name: str) -> None:
    """What a tool returned counts as input, and another result gets another answer."""

    def answer(result: str) -> tuple[int, Any]:
        _, body = CONVERSATIONS[name]
        changed = json.dumps(body, default=lambda data: {"@": base64.b64encode(data).decode()})
        changed = changed.replace('"found": true', f'"found": "{result}"')
        changed = changed.replace('\\"found\\": true', f'\\"found\\": \\"{result}\\"')
        text = json.loads(
            changed, object_hook=lambda d: base64.b64decode(d["@"]) if "@" in d else d
        )
        model_id = CONVERSATIONS[name][0]
        if name == "Converse":
            reply = kit.runtime.converse(modelId=model_id, **text)
            return reply["usage"]["inputTokens"], reply["output"]["message"]["content"]
        raw = kit.runtime.invoke_model(modelId=model_id, body=json.dumps(text))["body"].read()
        value = json.loads(raw)
        usage = value["usage"]
        return usage.get("input_tokens") or usage["prompt_tokens"], value

    short, long = answer("no"), answer("a basilica and many other things in the old town")
    assert long[0] > short[0] + 5
    assert long[1] != short[1]
