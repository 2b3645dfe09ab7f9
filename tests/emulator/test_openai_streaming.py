"""Streams through an OpenAI-compatible server: each piece arrives before the next one is sent."""

from __future__ import annotations

import http.client
import json
import select
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import EventStreamError

from .kit import CLAUDE, Kit, ask, refusal
from .openai_stub import asking, serving
from .raw_http import AUTHORIZATION
from .test_http import Http2

NOVA = "amazon.nova-lite-v1:0"
LLAMA = "meta.llama3-8b-instruct-v1:0"
TALK: Any = {"messages": [{"role": "user", "content": [{"text": "Hello"}]}]}
TOOLS: Any = {
    "tools": [{"toolSpec": {"name": "weather", "inputSchema": {"json": {"type": "object"}}}}]
}
USAGE = {"prompt_tokens": 11, "completion_tokens": 7}
WAIT_SECONDS = 60.0


def delta(**members: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": members, "finish_reason": None}]}


def end(reason: str = "stop") -> list[Any]:
    return [
        {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]},
        {"choices": [], "usage": USAGE},
    ]


class Stub(ThreadingHTTPServer):
    """Sends the events of `script`. It waits at each None until `go_on` is set."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script: list[Any] = []
        self.received: list[dict[str, Any]] = []
        self.go_on = threading.Event()
        self.hung_up = threading.Event()
        self.status = 200


class _Handler(BaseHTTPRequestHandler):
    server: Stub
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        stub = self.server
        stub.received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(stub.status)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for event in stub.script:
            if event is None:
                assert stub.go_on.wait(WAIT_SECONDS)
            elif event == "until the client has gone":
                assert self.rfile.read(1) == b""
                stub.hung_up.set()
                return
            elif event == "pieces until the client has gone":
                # As many as it takes: the client may notice late that it should go.
                with suppress(ConnectionError):  # it goes while a piece is sent
                    while not select.select([self.connection], [], [], 0.05)[0]:
                        self._chunk(f"data: {json.dumps(delta(content='more '))}\n\n".encode())
                    assert self.rfile.read(1) == b""
                stub.hung_up.set()
                return
            elif event == "drop":
                self.close_connection = True
                return
            else:
                text = event if isinstance(event, str) else f"data: {json.dumps(event)}"
                self._chunk(f"{text}\n\n".encode())
        self._chunk(b"data: [DONE]\n\n")
        self._chunk(b"")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        self.wfile.flush()

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture(scope="module")
def server() -> Iterator[Stub]:
    with serving(Stub()) as stub:
        yield stub


@pytest.fixture(scope="module")
def emulator(server: Stub) -> Iterator[Kit]:
    with asking(server) as kit:
        yield kit


@pytest.fixture(autouse=True)
def reset(server: Stub) -> None:
    server.received.clear()
    server.go_on.clear()
    server.hung_up.clear()
    server.status = 200


def native(kit: Kit, model_id: str, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the chunks of InvokeModelWithResponseStream."""
    reply = kit.runtime.invoke_model_with_response_stream(modelId=model_id, body=json.dumps(body))
    for event in reply["body"]:
        yield json.loads(event["chunk"]["bytes"])


def converse(kit: Kit, **members: Any) -> Iterator[dict[str, Any]]:
    stream: Iterator[dict[str, Any]] = kit.runtime.converse_stream(modelId=NOVA, **TALK, **members)[
        "stream"
    ]
    return stream


OPENAI_BODY = {"messages": [{"role": "user", "content": "Hello"}]}
STREAMS: dict[str, Callable[[Kit], Iterator[dict[str, Any]]]] = {
    "converse": converse,
    "claude": lambda kit: native(kit, CLAUDE, ask("Hello")),
    "nova": lambda kit: native(kit, NOVA, {"messages": TALK["messages"]}),
    "llama": lambda kit: native(kit, LLAMA, {"prompt": "Hello"}),
    "mistral": lambda kit: native(kit, "mistral.mistral-7b-instruct-v0:2", {"prompt": "Hello"}),
    "titan": lambda kit: native(kit, "amazon.titan-text-express-v1", {"inputText": "Hello"}),
    "command": lambda kit: native(kit, "cohere.command-text-v14", {"prompt": "Hello"}),
    "command-r": lambda kit: native(kit, "cohere.command-r-v1:0", {"message": "Hello"}),
    "qwen": lambda kit: native(kit, "qwen.qwen3-32b-v1:0", OPENAI_BODY),
    "gpt-oss": lambda kit: native(
        kit, "openai.gpt-oss-20b-1:0", {**OPENAI_BODY, "max_tokens": 200}
    ),
}


@pytest.mark.parametrize("name", STREAMS)
def test_each_piece_arrives_before_the_next_is_sent(emulator: Kit, server: Stub, name: str) -> None:
    """In every family, and by ConverseStream: the server waits until the client has the piece."""
    server.script = [delta(role="assistant", content=""), delta(content="Alpha "), None,
                     delta(content="omega"), *end()]  # fmt: skip
    events = STREAMS[name](emulator)
    seen: list[dict[str, Any]] = []
    for event in events:
        seen.append(event)
        if "Alpha" in json.dumps(event):
            break
    assert "omega" not in json.dumps(seen)
    server.go_on.set()
    seen += list(events)
    assert "omega" in json.dumps(seen)
    assert server.received[0]["stream"] is True
    metrics = [e["metadata"]["usage"] for e in seen if "metadata" in e]
    if name == "converse":
        (usage,) = metrics
        counted = {k: usage[k] for k in ("inputTokens", "outputTokens", "totalTokens")}
        assert counted == {"inputTokens": 11, "outputTokens": 7, "totalTokens": 18}
    elif name not in ("nova", "gpt-oss"):
        assert seen[-1]["amazon-bedrock-invocationMetrics"]["outputTokenCount"] == 7


def test_reasoning_text_and_calls_are_blocks(emulator: Kit, server: Stub) -> None:
    """A call's input arrives in the pieces that the server has sent."""
    server.script = [
        delta(reasoning_content="hm "), delta(reasoning_content="so"), delta(content="Look:"),
        delta(tool_calls=[{"index": 0, "id": "c1",
                           "function": {"name": "weather", "arguments": ""}}]),
        delta(tool_calls=[{"index": 0, "function": {"arguments": '{"city": '}}]),
        delta(tool_calls=[{"index": 0, "function": {"arguments": '"Rome"}'}}]),
        delta(tool_calls=[{"index": 1, "id": "c2",
                           "function": {"name": "weather", "arguments": "{}"}}]),
        *end("tool_calls"),
    ]  # fmt: skip
    events = list(converse(emulator, toolConfig=TOOLS))
    deltas = [e["contentBlockDelta"] for e in events if "contentBlockDelta" in e]
    assert [(d["contentBlockIndex"], d["delta"]) for d in deltas] == [
        (0, {"reasoningContent": {"text": "hm "}}),
        (0, {"reasoningContent": {"text": "so"}}),
        (1, {"text": "Look:"}),
        (2, {"toolUse": {"input": '{"city": '}}),
        (2, {"toolUse": {"input": '"Rome"}'}}),
        (3, {"toolUse": {"input": "{}"}}),
    ]
    starts = [e["contentBlockStart"]["start"] for e in events if "contentBlockStart" in e]
    assert [start["toolUse"]["toolUseId"] for start in starts] == ["c1", "c2"]
    assert [e["messageStop"] for e in events if "messageStop" in e] == [{"stopReason": "tool_use"}]
    chunks = list(native(emulator, CLAUDE, ask("Hello", max_tokens=40)))
    kinds = [c["content_block"]["type"] for c in chunks if c["type"] == "content_block_start"]
    assert kinds == ["thinking", "text", "tool_use", "tool_use"]


@pytest.mark.parametrize(
    "broken",
    [[{"error": {"message": "out of memory"}}], ["drop"], ["data: {"], [], [[1]],
     [delta(tool_calls=[{"index": 3, "function": {"name": "x"}}])]],
    ids=["error", "drop", "no-json", "no-end", "no-object", "no-call"],
)  # fmt: skip
def test_an_error_in_the_middle_is_an_event_of_the_stream(
    emulator: Kit, server: Stub, broken: list[Any]
) -> None:
    """After the pieces that the server has sent. The answer is paid for, and lost."""
    server.script = [delta(content="Alpha "), *broken]
    for stream in (converse(emulator), native(emulator, CLAUDE, ask("Hello"))):
        seen: list[Any] = []
        with pytest.raises(EventStreamError, match="modelStreamErrorException"):
            seen.extend(stream)
        assert "Alpha" in str(seen)


def test_an_error_before_the_first_piece_is_one_of_the_call(emulator: Kit, server: Stub) -> None:
    """Nothing is billed."""
    before = emulator.local.usage()["totals"]["invocations"]
    for status, code in ((429, "ThrottlingException"), (500, "ModelErrorException")):
        server.status = status
        call = emulator.runtime.converse_stream
        assert refusal(call, modelId=NOVA, **TALK) == code
    server.status, server.script = 200, [{"error": {"message": "no"}}]
    assert refusal(emulator.runtime.converse_stream, modelId=NOVA, **TALK) == "ModelErrorException"
    assert emulator.local.usage()["totals"]["invocations"] == before


@pytest.mark.parametrize("version", ["1.1", "2"])
def test_a_client_that_hangs_up_ends_the_request_to_the_server(
    emulator: Kit, server: Stub, version: str
) -> None:
    """While the server is silent, too. With HTTP/2, the end of one stream is enough."""
    before = emulator.local.usage()["totals"]["invocations"]
    server.script = [delta(content="Alpha "), "until the client has gone"]
    body = json.dumps(ask("Hello")).encode()
    path = f"/model/{CLAUDE.replace(':', '%3A')}/invoke-with-response-stream"
    if version == "2":
        client = Http2(emulator.local.endpoint_url)
        stream = client.begin("POST", path, body, AUTHORIZATION)
        client.until(stream, b"chunk")
        client.cancel(stream)
        assert server.hung_up.wait(WAIT_SECONDS)
        client.close()
    else:
        address = urlsplit(emulator.local.endpoint_url).netloc
        connection = http.client.HTTPConnection(address, timeout=WAIT_SECONDS)
        connection.request("POST", path, body, {"Authorization": AUTHORIZATION})
        reply = connection.getresponse()
        assert reply.read1()
        reply.close()
        connection.close()
        assert server.hung_up.wait(WAIT_SECONDS)
    assert emulator.local.usage()["totals"]["invocations"] == before + 1
