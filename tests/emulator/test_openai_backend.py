"""Answers of a model of one's own: what is sent, what comes back, what happens when it fails."""

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
    """An OpenAI-compatible server of a few lines that notes what it is asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.status = 200

    def answer(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        self.asked.append((path, body))
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
def asking(server: Stub) -> Iterator[Kit]:
    url = f"http://127.0.0.1:{server.server_port}/v1"
    options = ("--backend", "openai", "--backend-url", url, "--backend-model", "tiny")
    with LocalBedrock({"quotas": {"min_records": 1}}, 0, 7, None, 0, *options) as local:
        yield Kit.open(local)


@pytest.fixture(autouse=True)
def fresh(server: Stub) -> None:
    server.asked.clear()
    server.status = 200


def test_a_request_is_forwarded_and_answered(asking: Kit, server: Stub) -> None:
    """Everything the prompt says, the model that was named, and the server's own counts."""
    body = ask("Hello", system="Be short.", temperature=0.5, stop_sequences=["END"], max_tokens=1)
    reply = asking.runtime.invoke_model(modelId=CLAUDE, body=json.dumps(body))
    answer = json.loads(reply["body"].read())
    assert answer["content"] == [{"type": "text", "text": "From the stub."}]
    assert answer["stop_reason"] == "max_tokens"
    assert answer["usage"] == {"input_tokens": 11, "output_tokens": 4}
    ((path, sent),) = server.asked
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


def test_batch_records_are_forwarded_too(asking: Kit, server: Stub) -> None:
    """Each once."""
    arn = asking.submit(5)
    asking.settle(arn)
    texts = {line["modelOutput"]["content"][0]["text"] for line in asking.lines(arn)}
    assert texts == {"From the stub."}
    assert len(server.asked) == 5


def test_tools_go_there_and_calls_come_back(asking: Kit, server: Stub) -> None:
    """In both formats."""
    spec = {"name": "weather", "inputSchema": {"json": {"type": "object"}}}
    reply = asking.runtime.converse(
        modelId=CLAUDE,
        messages=[{"role": "user", "content": [{"text": "weather?"}]}],
        toolConfig={"tools": [{"toolSpec": spec}], "toolChoice": {"tool": {"name": "weather"}}},
    )
    assert reply["stopReason"] == "tool_use"
    (block,) = reply["output"]["message"]["content"]
    assert block["toolUse"]["input"] == {"city": "Rome"}
    assert server.asked[0][1]["tool_choice"]["function"]["name"] == "weather"


def test_embeddings_are_asked_for_and_normalised(asking: Kit, server: Stub) -> None:
    """Of the server's dimensions."""
    reply = asking.runtime.invoke_model(
        modelId="amazon.titan-embed-text-v2:0", body=json.dumps({"inputText": "a"})
    )
    assert json.loads(reply["body"].read())["embedding"] == [0.6, 0.8]
    assert server.asked == [("/v1/embeddings", {"model": "tiny", "input": "a", "dimensions": 1024})]


@pytest.mark.parametrize(
    ("status", "code"),
    [(429, "ThrottlingException"), (500, "ModelErrorException"), (302, "ModelErrorException")],
)
def test_its_failures_are_the_models(asking: Kit, server: Stub, status: int, code: str) -> None:
    """A redirect is not followed: content goes to the server that was named, and nowhere else."""
    server.status = status
    with pytest.raises(ClientError) as error:
        asking.runtime.invoke_model(modelId=CLAUDE, body=json.dumps(ask("x")))
    assert error.value.response["Error"]["Code"] == code
    arn = asking.submit(1)
    assert asking.settle(arn)["errorRecordCount"] == 1
    (line,) = asking.lines(arn)
    assert line["error"]["retryable"] is True
