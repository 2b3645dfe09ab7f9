"""Answers from an OpenAI-compatible server: requests, replies and failures."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from botocore.exceptions import ClientError

from bedrock_emulator import LocalBedrock

from .kit import CLAUDE, Kit, ask


class Stub(ThreadingHTTPServer):
    """A small OpenAI-compatible server that records its requests."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.received: list[tuple[str, dict[str, Any]]] = []
        self.status = 200

    def answer(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        self.received.append((path, body))
        if path.endswith("/embeddings"):
            return {"data": [{"embedding": [3.0, 4.0]}]}
        message: dict[str, Any] = {"role": "assistant", "content": "From the stub."}
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
    with Stub() as stub:
        threading.Thread(target=stub.serve_forever, daemon=True).start()
        yield stub
        stub.shutdown()


@pytest.fixture(scope="module")
def emulator(server: Stub) -> Iterator[Kit]:
    url = f"http://127.0.0.1:{server.server_port}/v1"
    options = ("--backend", "openai", "--backend-url", url, "--backend-model", "tiny")
    with LocalBedrock({"quotas": {"min_records": 1}}, 0, 7, None, 0, *options) as local:
        yield Kit.open(local)


@pytest.fixture(autouse=True)
def reset(server: Stub) -> None:
    server.received.clear()
    server.status = 200


def test_a_request_is_forwarded_and_answered(emulator: Kit, server: Stub) -> None:
    """All parts of the prompt, the configured model, and the server's own token counts."""
    body = ask("Hello", system="Be short.", temperature=0.5, stop_sequences=["END"], max_tokens=1)
    reply = emulator.runtime.invoke_model(modelId=CLAUDE, body=json.dumps(body))
    answer = json.loads(reply["body"].read())
    assert answer["content"] == [{"type": "text", "text": "From the stub."}]
    assert answer["stop_reason"] == "max_tokens"
    assert answer["usage"] == {"input_tokens": 11, "output_tokens": 4}
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
