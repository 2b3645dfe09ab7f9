"""The vectors of an answer: every shape and type, their norm, and which are near."""

from __future__ import annotations

import math
from typing import Any

import pytest

from bedrock_spark.playground.embeddings import Near, Vector, cosine, nearest, vectors_of


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ({"embedding": [1, 2.5]}, [Vector((1.0, 2.5))]),
        (
            {"embedding": [1.0], "embeddingsByType": {"float": [1.0], "binary": [0, 1]}},
            [Vector((1.0,), "float"), Vector((0.0, 1.0), "binary")],
        ),
        ({"embeddings": [[1.0], [2.0]]}, [Vector((1.0,)), Vector((2.0,), input=1)]),
        (
            {"embeddings": {"int8": [[1, -2]], "ubinary": [[255]]}},
            [Vector((1.0, -2.0), "int8"), Vector((255.0,), "ubinary")],
        ),
        ({"embeddings": [{"embeddingType": "TEXT", "embedding": [3.0]}]}, [Vector((3.0,))]),
        ({"embedding": []}, []),
        ({"embeddings": {"float": None}, "embedding": "x"}, []),
        ({}, []),
    ],
)
def test_vectors_are_read_in_every_shape(output: dict[str, Any], expected: list[Vector]) -> None:
    """Titan's, Cohere's and Nova's. What is no vector is left out."""
    assert list(vectors_of(output)) == expected


@pytest.mark.parametrize(
    ("vector", "length", "norm"),
    [
        (Vector((3.0, 4.0)), 2, 5.0),
        (Vector((-128.0, 127.0), "int8"), 2, math.hypot(128, 127)),
        (Vector((128.0, 131.0), "uint8"), 2, 3.0),
        (Vector((255.0, 0.0), "ubinary"), 16, 4.0),
        (Vector((127.0, -128.0), "binary"), 16, 4.0),
    ],
)
def test_length_and_norm_are_those_of_the_dimensions(
    vector: Vector, length: int, norm: float
) -> None:
    """uint8 is around 128, and a packed number has eight dimensions of -1 or 1."""
    assert (vector.length, vector.norm) == (length, pytest.approx(norm))


def test_bits_are_in_the_order_of_the_number() -> None:
    """`binary` is `ubinary` minus 128: the same bits, in signed numbers."""
    bits = (1.0, -1.0, 1.0, -1.0, -1.0, -1.0, -1.0, 1.0)
    assert Vector((0b10100001,), "ubinary").components == bits
    assert Vector((0b10100001 - 128,), "binary").components == bits


def test_vectors_that_are_alike_are_near() -> None:
    vectors = [
        Vector((1.0, 0.0)),
        Vector((0.0, 1.0)),
        Vector((2.0, 0.1)),
        Vector((0.0, 0.0)),
        Vector((1.0,), "int8"),
    ]
    first, second, third, zero, other = nearest(vectors)
    assert first == Near(2, pytest.approx(2 / math.hypot(2, 0.1)))
    assert third == Near(0, pytest.approx(2 / math.hypot(2, 0.1)))
    assert second is not None
    assert second.index == 2
    assert (zero, other) == (None, None)


def test_a_cosine_is_never_beyond_one() -> None:
    """Rounding could make it so, and an arc cosine would fail."""
    vector = Vector((0.1, 0.2, 0.3, 1e-9))
    assert cosine(vector, vector) == pytest.approx(1.0)
    assert (cosine(vector, vector) or 2) <= 1.0
    opposite = Vector(tuple(-n for n in vector.numbers))
    assert (cosine(vector, opposite) or -2) >= -1.0
    assert nearest([vector]) == [None]
