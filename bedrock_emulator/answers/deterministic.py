"""Answers without a model: the same request always gets the same plausible text.

The text is drawn from a hash of the request. It repeats words of the request, so that a reader can
see which answer belongs to which row.
"""

from __future__ import annotations

import hashlib
import json
import re

from bedrock_emulator.answers.embedding import embed_words
from bedrock_emulator.answers.prompt import Completion, Prompt, Tool, ToolCall
from bedrock_emulator.answers.schema import fit_schema
from bedrock_emulator.answers.tokens import count_tokens, first_tokens

_TEXT = """
the a this that it in fact one most often case part whole use main point reader text value given
first next last short clear plain here there and but so when then while also still shows gives
takes means keeps makes sets says names holds finds returns calls counts
"""
_WORDS = tuple(_TEXT.split())
_OPENINGS = ("In short,", "Yes:", "As asked,", "Briefly,", "To answer:", "It seems that")
_WORD = re.compile(r"\w{4,}")
_ECHO_CHARACTERS = 2_000  # at the end of the request: only these are searched for words to repeat


class DeterministicBackend:
    """Implements `Backend` by hashing the request."""

    def complete(self, model_id: str, prompt: Prompt) -> Completion:
        key = hashlib.blake2b(
            f"{model_id}\x1f{prompt.text}".encode("utf-8", "surrogatepass"), digest_size=16
        ).digest()
        input_tokens = count_tokens(prompt.text)
        tool = _tool_to_call(prompt)
        if tool is not None:
            return _call(tool, key, input_tokens)
        if prompt.schema is not None:
            text = json.dumps(fit_schema(prompt.schema, key), ensure_ascii=False)
        else:
            text = _compose(prompt, key)
        return _cut(text, prompt, input_tokens)

    def embed(self, model_id: str, text: str, dimensions: int) -> list[float]:
        return embed_words(model_id, text, dimensions)


def _compose(prompt: Prompt, key: bytes) -> str:
    word_count = 12 + key[0] % 48
    # The first byte draws the opening, each of the others one word.
    stream = hashlib.shake_128(key).digest(word_count + 1)
    question = prompt.turns[-1].text if prompt.turns else ""
    # In most templates a prompt starts with the instruction and ends with the row.
    echoes = list(dict.fromkeys(_WORD.findall(question[-_ECHO_CHARACTERS:])))[-8:]
    words = [_OPENINGS[stream[0] % len(_OPENINGS)]]
    sentence_words = 0
    for number in stream[1:]:
        sentence_words += 1
        if echoes and number % 5 == 0:
            words.append(echoes[number % len(echoes)])
        else:
            words.append(_WORDS[number % len(_WORDS)])
        if sentence_words > 6 and number % 7 == 0:
            words[-1] += "."
            sentence_words = 0
    return " ".join(words).rstrip(".") + "."


def _cut(text: str, prompt: Prompt, input_tokens: int) -> Completion:
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


def _call(tool: Tool, key: bytes, input_tokens: int) -> Completion:
    value = fit_schema(tool.schema, key)
    arguments = value if isinstance(value, dict) else {"value": value}
    call = ToolCall(f"tooluse_{key.hex()[:22]}", tool.name, arguments)
    output_tokens = count_tokens(json.dumps(arguments)) + count_tokens(tool.name)
    return Completion("", input_tokens, output_tokens, "tool", None, (call,))
