"""Answers from an OpenAI-compatible server. Prompts are sent to its URL and nowhere else."""

from __future__ import annotations

import json
import math
import os
import urllib.error
import urllib.request
from typing import Any

from bedrock_emulator.answers.openai_messages import messages_of
from bedrock_emulator.answers.prompt import Completion, Prompt, Stop, ToolCall
from bedrock_emulator.answers.tokens import count_tokens
from bedrock_emulator.errors import ServiceError

_TIMEOUT_SECONDS = 300.0
_STOP: dict[str, Stop] = {"stop": "end", "length": "length", "tool_calls": "tool"}


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Follow no redirect: content goes to the configured server only."""
        return


class OpenAIBackend:
    """Implements `Backend` over `POST <url>/chat/completions` and `/embeddings`.

    `OPENAI_API_KEY` is sent if it is set. No proxy of the environment is used.
    """

    def __init__(self, url: str, model: str | None = None) -> None:
        self._url = url.rstrip("/")
        self._model = model
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect())

    def complete(self, model_id: str, prompt: Prompt) -> Completion:
        answer = self._post("chat/completions", self._request(model_id, prompt))
        try:
            choice = answer["choices"][0]
            message = choice["message"]
            calls = tuple(_tool_call(call) for call in message.get("tool_calls") or ())
            text = message.get("content") or ""
            reasoning = message.get("reasoning_content") or message.get("reasoning") or ""
        except (KeyError, IndexError, TypeError, ValueError) as exc:
            raise _model_error("sent an answer without a message") from exc
        usage = answer.get("usage") or {}
        stop = _STOP.get(choice.get("finish_reason") or "stop", "end")
        return Completion(
            text=text,
            input_tokens=int(usage.get("prompt_tokens") or count_tokens(prompt.text)),
            output_tokens=int(usage.get("completion_tokens") or count_tokens(text)),
            stop="tool" if calls else stop,
            tool_calls=calls,
            reasoning=str(reasoning),
            reasoning_tokens=_reasoning_tokens(usage, str(reasoning)),
        )

    def embed(self, model_id: str, text: str, dimensions: int) -> list[float]:
        """Return the server's vector, scaled to length 1. The server may ignore `dimensions`."""
        request = {"model": self._model or model_id, "input": text, "dimensions": dimensions}
        answer = self._post("embeddings", request)
        try:
            vector = [float(value) for value in answer["data"][0]["embedding"]]
        except (KeyError, IndexError, TypeError, ValueError) as exc:
            raise _model_error("sent an answer without an embedding") from exc
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
        headers = {"Content-Type": "application/json"}
        if os.environ.get("OPENAI_API_KEY"):
            headers["Authorization"] = f"Bearer {os.environ['OPENAI_API_KEY']}"
        request = urllib.request.Request(
            f"{self._url}/{path}", data=json.dumps(body).encode(), headers=headers, method="POST"
        )
        try:
            with self._opener.open(request, timeout=_TIMEOUT_SECONDS) as reply:
                answer = json.loads(reply.read())
        except urllib.error.HTTPError as exc:
            if exc.code == 429:
                raise ServiceError(
                    "ThrottlingException", "Too many requests, please wait before trying again."
                ) from exc
            raise _model_error(f"answered with status {exc.code}", exc.code) from exc
        except (urllib.error.URLError, OSError, ValueError) as exc:
            raise _model_error(f"could not be reached: {type(exc).__name__}") from exc
        if not isinstance(answer, dict):
            raise _model_error("sent something other than a JSON object")
        return answer


def _reasoning_tokens(usage: dict[str, Any], reasoning: str) -> int:
    details = usage.get("completion_tokens_details")
    counted = details.get("reasoning_tokens") if isinstance(details, dict) else None
    return counted if isinstance(counted, int) else count_tokens(reasoning)


def _choice(prompt: Prompt) -> Any:
    if prompt.tool_choice in ("auto", "any"):
        return {"auto": "auto", "any": "required"}[prompt.tool_choice]
    return {"type": "function", "function": {"name": prompt.tool_choice}}


def _tool_call(call: dict[str, Any]) -> ToolCall:
    arguments = json.loads(call["function"].get("arguments") or "{}")
    value = arguments if isinstance(arguments, dict) else {"value": arguments}
    return ToolCall(str(call.get("id") or "tooluse_0"), call["function"]["name"], value)


def _model_error(problem: str, status: int = 500) -> ServiceError:
    return ServiceError(
        "ModelErrorException",
        f"The server behind --backend-url {problem}.",
        {"originalStatusCode": status},
    )
