"""The vectors of an answer: how long they are, their norm, and which ones are near each other.

The shapes are those of Titan (`embedding`, `embeddingsByType`), of Cohere (`embeddings`: a list of
vectors, or one list for each type of numbers) and of Nova (`embeddings`: a list of objects).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import mul
from typing import Any

from bedrock_spark.families.json_members import Json, at, vector_at

FLOAT = "float"
# Types whose numbers stand for eight bits each: Cohere's documentation, "Embed", embedding_types.
_PACKED = ("binary", "ubinary")
_BITS = 8


@dataclass(frozen=True)
class Vector:
    """One embedding.

    numbers: as the model sent them
    type: of the numbers: float, int8, uint8, binary or ubinary
    input: the number of the text that it is of, from 0
    """

    numbers: tuple[float, ...]
    type: str = FLOAT
    input: int = 0

    @property
    def length(self) -> int:
        """Return the number of dimensions: of numbers, or of bits if eight are in a number."""
        return len(self.numbers) * (_BITS if self.is_packed else 1)

    @property
    def is_packed(self) -> bool:
        """Tell whether each number stands for eight dimensions of one bit."""
        return self.type in _PACKED

    @property
    def norm(self) -> float:
        """Return the Euclidean length. That of bits, as -1 and 1, says nothing."""
        return math.hypot(*self.components)

    @cached_property
    def components(self) -> tuple[float, ...]:
        """Return the numbers as they are compared: uint8 around 0, and a bit as -1 or 1."""
        if self.type == "uint8":
            return tuple(number - 128 for number in self.numbers)
        if not self.is_packed:
            return self.numbers
        shift = 128 if self.type == "binary" else 0
        numbers = (int(number) + shift for number in self.numbers)
        return tuple(
            1.0 if number >> (_BITS - 1 - bit) & 1 else -1.0
            for number in numbers
            for bit in range(_BITS)
        )


def vectors_of(output: Json) -> tuple[Vector, ...]:
    """Return every vector of an answer, in the order in which it has them."""
    return tuple(_vectors(output))


def _vectors(output: Json) -> Iterator[Vector]:
    by_type = at(output, "embeddingsByType")
    single = vector_at(output, "embedding")
    if isinstance(by_type, dict):
        for kind in by_type:
            yield from _typed(at(by_type, kind), str(kind), 0)
    elif single:
        yield Vector(single)
    several = at(output, "embeddings")
    if isinstance(several, dict):
        for kind in several:
            for number, numbers in enumerate(at(several, kind) or ()):
                yield from _typed(numbers, str(kind), number)
    for number, item in enumerate(several if isinstance(several, list) else ()):
        yield from _typed(at(item, "embedding") if isinstance(item, dict) else item, FLOAT, number)


def _typed(value: Any, kind: str, number: int) -> Iterator[Vector]:
    numbers = vector_at(value)
    if numbers:
        yield Vector(numbers, kind, number)


def cosine(one: Vector, other: Vector) -> float | None:
    """Return the cosine of the angle between two vectors, from -1 to 1.

    None if they cannot be compared: other types, other lengths, or a vector of zeros.
    """
    a, b = one.components, other.components
    if one.type != other.type or len(a) != len(b):
        return None
    norms = math.hypot(*a) * math.hypot(*b)
    if not norms:
        return None
    product: float = sum(map(mul, a, b))
    return max(-1.0, min(1.0, product / norms))


@dataclass(frozen=True)
class Near:
    """The nearest of the other vectors. index: its place in the list, from 0."""

    index: int
    cosine: float


def nearest(vectors: Sequence[Vector]) -> list[Near | None]:
    """Return the nearest other vector of each one; None if it can be compared with no other.

    Compares every pair: for the texts that a person types, not for a table.
    """
    found: list[Near | None] = []
    for index, vector in enumerate(vectors):
        nears = [
            Near(other, value)
            for other, candidate in enumerate(vectors)
            if other != index and (value := cosine(vector, candidate)) is not None
        ]
        found.append(max(nears, key=lambda near: near.cosine, default=None))
    return found
