"""Claude's signed thinking, which a client sends back unchanged with the results of tools.

The rules and the first message: Claude docs, "Extended thinking" and "Preserving thinking blocks".
The service seals its thinking in the signature; here it is a digest of the text that is shown.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from typing import Any

from bedrock_emulator.families.family import BodyError

_THOUGHTS = ("thinking", "redacted_thinking")


def signature_of(thought: str) -> str:
    """Return the signature of the thinking that a block shows."""
    text = thought.encode("utf-8", "surrogatepass")
    return base64.b64encode(hashlib.blake2b(text, digest_size=24).digest()).decode()


def check_thoughts(messages: Any, thinking: dict[str, Any]) -> None:
    """Raise BodyError if a request that thinks changes earlier thinking, or leaves it out.

    messages: of a body of the Messages API, as they were sent; thinking: the member of the body
    """
    is_on = thinking.get("type") in ("enabled", "adaptive")
    if not is_on or not isinstance(messages, list) or not messages:
        return
    for place, number, block in _blocks(messages):
        if block.get("type") != "thinking":
            continue
        if block.get("signature") != signature_of(str(block.get("thinking"))):
            raise BodyError(
                f"messages.{place}.content.{number}: Invalid `signature` in `thinking` block"
            )
    if thinking["type"] == "enabled" and _has_result(messages[-1]) and len(messages) > 1:
        _check_first(messages[-2], len(messages) - 2)


def _blocks(messages: list[Any]) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """Yield the blocks of all answers with their places."""
    for place, message in enumerate(messages):
        if isinstance(message, dict) and message.get("role") == "assistant":
            for number, block in enumerate(_content(message)):
                if isinstance(block, dict):
                    yield place, number, block


def _content(message: Any) -> list[Any]:
    content = message.get("content") if isinstance(message, dict) else None
    return content if isinstance(content, list) else []


def _has_result(message: Any) -> bool:
    return any(isinstance(b, dict) and b.get("type") == "tool_result" for b in _content(message))


def _check_first(answer: Any, place: int) -> None:
    first = next(iter(_content(answer)), {"type": "text"})
    kind = first.get("type") if isinstance(first, dict) else None
    if kind not in _THOUGHTS:
        raise BodyError(
            f"messages.{place}.content.0.type: Expected `thinking` or `redacted_thinking`, but "
            f"found `{kind}`. When `thinking` is enabled, a final `assistant` message must start "
            "with a thinking block (preceeding the lastmost set of `tool_use` and `tool_result` "
            "blocks). To avoid this requirement, disable `thinking`."
        )
