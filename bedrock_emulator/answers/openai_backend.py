"""Answers from an OpenAI-compatible server. Prompts are sent to its URL and nowhere else."""

from __future__ import annotations

import json
import math
from typing import Any

from bedrock_emulator.answers.openai_messages import messages_of
from bedrock_emulator.answers.openai_server import OpenAIServer, model_error
from bedrock_emulator.answers.openai_stream import completion_of, read_stream
from bedrock_emulator.answers.pieces import pieces_of
from bedrock_emulator.answers.prompt import Completion, Pieces, Prompt, ToolCall


class OpenAIBackend:
    """Implements `Backend` over `POST <url>/chat/completions` and `/embeddings`."""

    def __init__(self, url: str, model: str | None = None) -> None:
        self._server = OpenAIServer(url)
        self._model = model

    def complete(self, model_id: str, prompt: Prompt) -> Completion:
        return _completion(self._post("chat/completions", self._request(model_id, prompt)), prompt)

    def stream(self, model_id: str, prompt: Prompt) -> Pieces:
        """Yield each piece when the server has sent it. A server that does not stream may answer.

        Raise ServiceError if the server fails, at the beginning or later. Closing the iterator, or
        the end of the client's connection, closes the request to the server.
        """
        options = {"stream": True, "stream_options": {"include_usage": True}}
        request = {**self._request(model_id, prompt), **options}
        with self._server.post("chat/completions", request) as reply:
            if reply.is_event_stream:
                yield from read_stream(reply.lines(), prompt)
            else:
                yield from pieces_of(_completion(reply.json(), prompt))

    def embed(self, model_id: str, text: str, dimensions: int) -> list[float]:
        """Return the server's vector, scaled to length 1. The server may ignore `dimensions`."""
        request = {"model": self._model or model_id, "input": text, "dimensions": dimensions}
        answer = self._post("embeddings", request)
        try:
            vector = [float(value) for value in answer["data"][0]["embedding"]]
        except (KeyError, IndexError, TypeError, ValueError) as exc:
            raise model_error("sent an answer without an embedding") from exc
        norm = math.sqrt(math.fsum(value * value for value in vector)) or 1.0
        return [value / norm for value in vector]

    def _request(self, model_id: str, prompt: Prompt) -> dict[str, Any]:
        system = [{"role": "system", "content": prompt.system}] if prompt.system else []
        turns = [message for turn in prompt.turns for message in messages_of(turn)]
        request: dict[str, Any] = {
            "model": self._model or model_id,
            "messages": [*system, *turns],
            "max_tokens": prompt.max_tokens,
            "stop": list(prompt.stop_sequences) or None,
            "temperature": prompt.temperature,
            "top_p": prompt.top_p,
        }
        if prompt.tools and prompt.tool_choice != "none":
            request["tools"] = [
                {
                    "type": "function",
                    "function": {
                        "name": tool.name,
                        "description": tool.description,
                        "parameters": tool.schema or {"type": "object"},
                    },
                }
                for tool in prompt.tools
            ]
            request["tool_choice"] = _choice(prompt)
        if prompt.schema is not None:
            schema = {"name": "answer", "schema": prompt.schema}
            request["response_format"] = {"type": "json_schema", "json_schema": schema}
        elif prompt.wants_json:
            request["response_format"] = {"type": "json_object"}
        return {name: value for name, value in request.items() if value is not None}

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        with self._server.post(path, body) as reply:
            return reply.json()


def _completion(answer: dict[str, Any], prompt: Prompt) -> Completion:
    try:
        choice = answer["choices"][0]
        message = choice["message"]
        calls = tuple(_tool_call(call) for call in message.get("tool_calls") or ())
        text = message.get("content") or ""
        reasoning = message.get("reasoning_content") or message.get("reasoning") or ""
    except (KeyError, IndexError, TypeError, ValueError) as exc:
        raise model_error("sent an answer without a message") from exc
    reason, usage = choice.get("finish_reason"), answer.get("usage")
    return completion_of(text, str(reasoning), calls, reason, usage, prompt)


def _choice(prompt: Prompt) -> Any:
    if prompt.tool_choice in ("auto", "any"):
        return {"auto": "auto", "any": "required"}[prompt.tool_choice]
    return {"type": "function", "function": {"name": prompt.tool_choice}}


def _tool_call(call: dict[str, Any]) -> ToolCall:
    arguments = json.loads(call["function"].get("arguments") or "{}")
    value = arguments if isinstance(arguments, dict) else {"value": arguments}
    return ToolCall(str(call.get("id") or "tooluse_0"), call["function"]["name"], value)
