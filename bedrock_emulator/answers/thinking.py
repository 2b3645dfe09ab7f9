"""Answers of a model that thinks before it writes. Its thinking is paid for as output."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from bedrock_emulator.answers.prompt import Completion, Prompt
from bedrock_emulator.answers.tokens import count_tokens

# Tokens of thinking for an effort. Real models take many more; the order is what matters.
EFFORTS = {"low": 12, "medium": 24, "high": 48, "xhigh": 64, "max": 96}
# With a budget, a model thinks as long as it needs, which is less.
_FOR_A_BUDGET = 24
_WORDS_SHOWN = 20


def tokens_of_effort(effort: str | None) -> int:
    """Return the tokens of thinking for an effort; without one, those of the usual effort."""
    return EFFORTS.get(effort or "high", EFFORTS["high"])


def tokens_of_budget(budget: int) -> int:
    """Return the tokens of thinking within a budget."""
    return min(budget, _FOR_A_BUDGET)


def think_first(tokens: int, prompt: Prompt, answer: Callable[[Prompt], Completion]) -> Completion:
    """Return an answer that comes after `tokens` tokens of thinking.

    answer: completes a prompt, whose limit is what thinking has left. If it leaves nothing, there
        is no answer.
    """
    thought = min(tokens, prompt.max_tokens)
    text = _thoughts(thought)
    if thought == prompt.max_tokens:
        input_tokens = count_tokens(prompt.text)
        return Completion(
            "", input_tokens, thought, "length", reasoning=text, reasoning_tokens=thought
        )
    completion = answer(replace(prompt, max_tokens=prompt.max_tokens - thought, thinking=0))
    return replace(
        completion,
        output_tokens=completion.output_tokens + thought,
        reasoning=text,
        reasoning_tokens=thought,
    )


def _thoughts(tokens: int) -> str:
    """Return reasoning of a few words; a model shows a summary of it."""
    return " ".join(["hm"] * min(tokens, _WORDS_SHOWN))
