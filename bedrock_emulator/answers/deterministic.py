"""Answers without a model: the same request always gets the same answer, of the form it asks for.

JSON that fits the schema or the shape that the request has, one of its labels, a number of its
scale, or else sentences. They are built from the words of the request, so that a reader can see
which answer belongs to which row. What the words do not decide is drawn from a hash of the request.
"""

from __future__ import annotations

import hashlib
import json

from bedrock_emulator.answers.embedding import embed_words
from bedrock_emulator.answers.filling import Filling
from bedrock_emulator.answers.material import Material
from bedrock_emulator.answers.pieces import pieces_of
from bedrock_emulator.answers.prompt import Completion, Pieces, Prompt, Tool, ToolCall
from bedrock_emulator.answers.schema import fit_schema
from bedrock_emulator.answers.sentences import compose
from bedrock_emulator.answers.thinking import think_first
from bedrock_emulator.answers.tokens import count_tokens, first_tokens, tokens_of_call
from bedrock_emulator.answers.wish import Wish, read_wish

_YES = ("yes", "ja", "true", "oui")


class DeterministicBackend:
    """Implements `Backend` by reading what the request asks for."""

    def complete(self, model_id: str, prompt: Prompt) -> Completion:
        if prompt.thinking:
            return think_first(prompt.thinking, prompt, lambda rest: self.complete(model_id, rest))
        key = hashlib.blake2b(
            f"{model_id}\x1f{prompt.text}".encode("utf-8", "surrogatepass"), digest_size=16
        ).digest()
        input_tokens = count_tokens(prompt.text)
        wish = read_wish(prompt)
        tool = _tool_to_call(prompt)
        if tool is not None:
            return _call(tool, key, wish, input_tokens)
        text = _continue(_text(wish, key), prompt)
        return cut(text, prompt, input_tokens)

    def stream(self, model_id: str, prompt: Prompt) -> Pieces:
        return pieces_of(self.complete(model_id, prompt))

    def embed(self, model_id: str, text: str, dimensions: int) -> list[float]:
        return embed_words(model_id, text, dimensions)


def _text(wish: Wish, key: bytes) -> str:
    if wish.schema is not None:
        value = fit_schema(wish.schema, key, _filling(wish))
        return json.dumps(value, ensure_ascii=False)
    if wish.labels:
        return wish.labels[_label(wish, key)]
    if wish.rating is not None:
        members = {"type": "object", "properties": {"rating": wish.rating}}
        return str(fit_schema(members, key, _filling(wish))["rating"])
    return compose(wish, key)


def _filling(wish: Wish) -> Filling:
    return Filling(wish.row, wish.question)


def _label(wish: Wish, key: bytes) -> int:
    """Return the index of a label: the one that the row speaks for, else a drawn one."""
    material = Material(wish.row or wish.question)
    if wish.labels[0].lower() in _YES and material.agrees(f"{wish.system} {wish.question}"):
        return 0
    chosen = material.choose(wish.labels, wish.about)
    return _draw(key, len(wish.labels)) if chosen is None else chosen


def _draw(key: bytes, options: int) -> int:
    return int.from_bytes(key[:8], "big") % options


def _continue(text: str, prompt: Prompt) -> str:
    """Return a text without the beginning that the request has put into the model's mouth."""
    if not prompt.turns or prompt.turns[-1].role != "assistant":
        return text
    return text.removeprefix(prompt.turns[-1].text.strip())


def cut(text: str, prompt: Prompt, input_tokens: int) -> Completion:
    """Return a text as a completion: up to the first stop sequence or the limit of tokens."""
    for sequence in prompt.stop_sequences:
        position = text.find(sequence) if sequence else -1
        if position >= 0:
            text = text[:position]
            if count_tokens(text) <= prompt.max_tokens:
                tokens = count_tokens(text)
                return Completion(text, input_tokens, tokens, "sequence", sequence)
    tokens = count_tokens(text)
    if tokens > prompt.max_tokens:
        text = first_tokens(text, prompt.max_tokens)
        return Completion(text, input_tokens, count_tokens(text), "length")
    return Completion(text, input_tokens, tokens)


def _tool_to_call(prompt: Prompt) -> Tool | None:
    """Return the tool to call, or None for a text.

    A named tool is always called, and so is some tool for `any`. For `auto` a tool is called unless
    the last turn is a tool's result.
    """
    if not prompt.tools or prompt.tool_choice == "none":
        return None
    named = [tool for tool in prompt.tools if tool.name == prompt.tool_choice]
    if named:
        return named[0]
    is_tool_result = prompt.turns and prompt.turns[-1].role == "tool"
    if prompt.tool_choice != "any" and is_tool_result:
        return None
    return prompt.tools[count_tokens(prompt.text) % len(prompt.tools)]


def _call(tool: Tool, key: bytes, wish: Wish, input_tokens: int) -> Completion:
    value = fit_schema(tool.schema, key, _filling(wish))
    arguments = value if isinstance(value, dict) else {"value": value}
    call = ToolCall(f"tooluse_{key.hex()[:22]}", tool.name, arguments)
    output_tokens = tokens_of_call(tool.name, arguments)
    return Completion("", input_tokens, output_tokens, "tool", None, (call,))
