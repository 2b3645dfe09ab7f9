"""The earlier turns of a conversation, which a chat model gets before the next question.

Their form is that of the sources of each family. Of those that take one prompt: Meta's "Model cards
and prompt formats", Mistral's "Instruct Tokenization & Chat Templates", and the chat template of
DeepSeek R1's tokenizer. Of Command R: `chat_history` in the Amazon Bedrock user guide. Titan Text
and Command have no place for turns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bedrock_spark.errors import ConfigError


@dataclass(frozen=True)
class Turn:
    """A question and its answer, both with some text. Reasoning is not a part of the answer."""

    question: str
    answer: str


Turns = Sequence[Turn]


def spoken(turns: Turns) -> Iterator[tuple[str, str]]:
    """Yield the role and the text of every message, in their order."""
    for turn in turns:
        yield "user", turn.question
        yield "assistant", turn.answer


def text_messages(turns: Turns) -> list[dict[str, str]]:
    """Return the messages as most APIs take them: `role`, and the text as `content`."""
    return [{"role": role, "content": text} for role, text in spoken(turns)]


def refuse_tokens_in(turns: Turns, family: str, *tokens: str) -> None:
    """Raise ConfigError if a turn holds one of the `tokens` of the template around it."""
    for number, turn in enumerate(turns, 1):
        present = [t for t in tokens if t in turn.question or t in turn.answer]
        if present:
            raise ConfigError(
                f"turn {number} of the conversation: holds {present[0]}, which belongs to the "
                f"template of the family {family}; begin a new conversation, or use Converse"
            )
