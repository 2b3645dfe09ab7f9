"""What happens while a question is asked, in order, as values.

Pieces come first, each as it arrives. The last event is Ended or Failed, and no other follows.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TypeAlias

from bedrock_spark.errors import BedrockSparkError
from bedrock_spark.families import Answer
from bedrock_spark.families.endings import Ending
from bedrock_spark.families.signed_blocks import Blocks
from bedrock_spark.families.turns import ToolCall
from bedrock_spark.playground.embeddings import Vector
from bedrock_spark.playground.images import Picture


@dataclass(frozen=True)
class TextPiece:
    """A piece of the answer's text; all of it, if the answer is not streamed."""

    text: str


@dataclass(frozen=True)
class ReasoningPiece:
    """A piece of what the model thinks."""

    text: str


@dataclass(frozen=True)
class ToolCallBegun:
    """A call of a tool begins; ToolInputPieces follow. name, id: None if the model sends none."""

    name: str | None
    id: str | None


@dataclass(frozen=True)
class ToolInputPiece:
    """A piece of the input of the tool call that began last, as JSON text."""

    text: str


@dataclass(frozen=True)
class PictureMade:
    """A picture of the answer."""

    picture: Picture


@dataclass(frozen=True)
class VectorMade:
    """A vector of the answer. A model may return several, one for each type of numbers."""

    vector: Vector


@dataclass(frozen=True)
class Timing:
    """Seconds since the question was sent. first: None if no piece has arrived."""

    first: float | None
    all: float


@dataclass(frozen=True)
class Ended:
    """The answer is there as a whole.

    answer: its parts; of a streamed one, put together
    calls: its tool calls
    ending: how it ended, by its stop reason
    output: JSON as the model sent it: the whole answer, or an array of the stream's chunks
    is_streamed: whether it was streamed
    signed: its blocks, if it has calls and signed thinking: see `Turn`
    cost: dollars, None if not known
    """

    answer: Answer
    calls: tuple[ToolCall, ...]
    ending: Ending
    output: bytes
    is_streamed: bool
    timing: Timing
    cost: Decimal | None
    signed: Blocks = ()


@dataclass(frozen=True)
class Failed:
    """There is no answer, or only the pieces before this event.

    error: has the exit code and the topic of the docs; its text may quote the prompt
    message: what went wrong and what to do, without a quote of the prompt
    is_billed: whether the service may bill the call
    """

    error: BedrockSparkError
    message: str
    timing: Timing
    is_billed: bool


Piece: TypeAlias = (
    TextPiece | ReasoningPiece | ToolCallBegun | ToolInputPiece | PictureMade | VectorMade
)
Event: TypeAlias = Piece | Ended | Failed
